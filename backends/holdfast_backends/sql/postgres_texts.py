"""The statements of PostgreSQL alone: loads by the functions of the revisions, and changes.

Rows travel as arrays, one for each column: one statement for any number of rows.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import count
from typing import Final, TypeVar

from .schema import SLOTS

# One state for all reads of a snapshot.
BEGIN_READING: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"
# A unit sees what was committed before it got its locks, hence not one state from its begin.
BEGIN_WRITING: Final = "BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE"
LOAD: Final = "SELECT * FROM holdfast_load_2($1, $2, $3, $4, $5)"
OPEN: Final = "SELECT * FROM holdfast_open_2($1, $2, $3, $4, $5, $6, $7)"
APPEND: Final = "SELECT holdfast_append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
# Not flushed before it is over: a mark that is lost only has events published again.
MARK_PUBLISHED: Final = """
INSERT INTO holdfast_published AS p (collection, sequence)
SELECT w.collection, least(w.sequence, c.sequence)
  FROM unnest($1::text[], $2::bigint[]) AS w (collection, sequence)
  JOIN holdfast_collections AS c ON c.name = w.collection,
       set_config('synchronous_commit', 'off', true)
    ON CONFLICT (collection) DO UPDATE SET sequence = greatest(p.sequence, excluded.sequence)"""
FORGET_EVENTS: Final = """
WITH old AS (
    SELECT collection, sequence FROM holdfast_events
    WHERE collection = $1 AND sequence <= $2 ORDER BY sequence LIMIT $3
    FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM holdfast_events AS e USING old
    WHERE e.collection = old.collection AND e.sequence = old.sequence RETURNING 1
)
SELECT count(*) FROM gone"""
FORGET_REPLIES: Final = """
WITH old AS (
    SELECT sender, message_id FROM holdfast_messages
    WHERE at < $1 ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM holdfast_messages AS m USING old
    WHERE m.sender = old.sender AND m.message_id = old.message_id RETURNING 1
)
SELECT count(*) FROM gone"""
MARK_LOG: Final = "SELECT pg_logical_emit_message(true, 'holdfast', '')"
"""Writes to the log, and nowhere else: the commit then waits until standbys have all before it."""
SETTINGS: Final = (
    "SELECT current_setting('fsync'), current_setting('full_page_writes'),"
    " current_setting('synchronous_commit'), current_setting('synchronous_standby_names')"
)

_RECORD: Final = {
    "collection": "text",
    "key": "bytea",
    "version": "bigint",
    "document": "bytea",
    "created_at": "bigint",
    "updated_at": "bigint",
    "expires_at": "bigint",
}
_REPLY: Final = {
    "sender": "text",
    "message_id": "text",
    "digest": "bytea",
    "outcome": "bytea",
    "at": "bigint",
}
_HEAD: Final = {"name": "text", "highest_id": "bigint", "slots": "text", "sequence": "bigint"}
_EVENT: Final = {
    "collection": "text",
    "sequence": "bigint",
    "kind": "smallint",
    "key": "bytea",
    "version": "bigint",
    "document": "bytea",
    "at": "bigint",
    "sender": "text",
    "message_id": "text",
}
_NULLABLE: Final = frozenset({"document", "expires_at", *(f"i{slot}" for slot in range(SLOTS))})
_NULLABLE_OF_EVENTS: Final = frozenset({"sender", "message_id"})
_T = TypeVar("_T")


@cache
def commit(*, new: bool, changed: bool, replies: bool, heads: bool, events: bool, used: int) -> str:
    """All changes of a unit as one statement, of the parts that it has.

    Parameters: for each part in this order its columns as arrays; `used` index columns follow
    those of the new and of the changed records.
    """
    numbers = count(1)
    columns = {**_RECORD, **{f"i{slot}": "bytea" for slot in range(used)}}
    parts: list[str] = []
    if new:
        parts.append(_insert("holdfast_records", columns, numbers))
    if changed:
        parts.append(_update_records(columns, used, numbers))
    if replies:
        parts.append(_insert("holdfast_messages", _REPLY, numbers))
    if heads:
        parts.append(
            _insert("holdfast_collections", _HEAD, numbers) + " ON CONFLICT (name) DO UPDATE"
            " SET highest_id = excluded.highest_id, slots = excluded.slots,"
            " sequence = excluded.sequence"
        )
    if events:
        parts.append(_insert("holdfast_events", _EVENT, numbers, _NULLABLE_OF_EVENTS))
    named = ", ".join(f"part{number} AS ({part})" for number, part in enumerate(parts))
    return f"WITH {named} SELECT 1"


def _insert(
    table: str,
    columns: dict[str, str],
    numbers: Iterator[int],
    nullable: frozenset[str] = _NULLABLE,
) -> str:
    values, rows = _rows(columns, numbers, nullable)
    names = ", ".join(columns)
    return f"INSERT INTO {table} ({names}) SELECT {', '.join(values.values())} FROM {rows}"  # noqa: S608


def _update_records(columns: dict[str, str], used: int, numbers: Iterator[int]) -> str:
    values, rows = _rows(columns, numbers, _NULLABLE)
    place = (values.pop("collection"), values.pop("key"))
    given = [f"{name} = {value}" for name, value in values.items()]
    cleared = [f"i{slot} = NULL" for slot in range(used, SLOTS)]
    return (
        f"UPDATE holdfast_records AS r SET {', '.join(given + cleared)}"  # noqa: S608
        f" FROM {rows} WHERE r.collection = {place[0]} AND r.key = {place[1]}"
    )


def _rows(
    columns: dict[str, str], numbers: Iterator[int], nullable: frozenset[str]
) -> tuple[dict[str, str], str]:
    """Arrays as rows: the value of each column, and what to select it from.

    `unnest` fills up short arrays with NULL; that stands for the first element (`shortened`),
    or for NULL itself where a column may hold that.
    """
    arrays = {name: f"${next(numbers)}::{kind}[]" for name, kind in columns.items()}
    values = {
        name: f"w.{name}" if name in nullable else f"coalesce(w.{name}, ({array})[1])"
        for name, array in arrays.items()
    }
    return values, f"unnest({', '.join(arrays.values())}) AS w ({', '.join(columns)})"


def shortened(column: Sequence[_T]) -> Sequence[_T]:
    """A column without NULLs, as short as it can travel: one element where all are equal."""
    return column[:1] if column and column.count(column[0]) == len(column) else column


def shortened_nullable(column: Sequence[_T]) -> Sequence[_T]:
    """A column with NULLs: nothing where all are."""
    return column if any(value is not None for value in column) else ()
