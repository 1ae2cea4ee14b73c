"""The statements of PostgreSQL alone: loads by the functions of revision 0001, and changes.

Rows travel as arrays, one for each column: one statement for any number of rows.
"""

from collections.abc import Iterator
from functools import cache
from itertools import count
from typing import Final

from .schema import SLOTS

# One state for all reads of a snapshot.
BEGIN_READING: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"
# A unit sees what was committed before it got its locks, hence not one state from its begin.
BEGIN_WRITING: Final = "BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE"
LOAD: Final = "SELECT * FROM holdfast_load($1, $2, $3, $4, $5)"
OPEN: Final = "SELECT * FROM holdfast_open($1, $2, $3, $4, $5, $6, $7)"
FORGET_REPLIES: Final = """
WITH old AS (
    SELECT sender, message_id FROM holdfast_messages
    WHERE at < $1 ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM holdfast_messages AS m USING old
    WHERE m.sender = old.sender AND m.message_id = old.message_id RETURNING 1
)
SELECT count(*) FROM gone"""
SETTINGS: Final = (
    "SELECT current_setting('fsync'), current_setting('full_page_writes'),"
    " current_setting('synchronous_commit')"
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
_HEAD: Final = {"name": "text", "last_id": "bigint", "slots": "text"}


@cache
def commit(*, new: bool, changed: bool, replies: bool, heads: bool, used: int) -> str:
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
            " SET last_id = excluded.last_id, slots = excluded.slots"
        )
    named = ", ".join(f"part{number} AS ({part})" for number, part in enumerate(parts))
    return f"WITH {named} SELECT 1"


def _insert(table: str, columns: dict[str, str], numbers: Iterator[int]) -> str:
    names = ", ".join(columns)
    return f"INSERT INTO {table} ({names}) SELECT * FROM {_rows(columns, numbers)}"  # noqa: S608


def _update_records(columns: dict[str, str], used: int, numbers: Iterator[int]) -> str:
    given = [f"{name} = w.{name}" for name in columns if name not in ("collection", "key")]
    cleared = [f"i{slot} = NULL" for slot in range(used, SLOTS)]
    return (
        f"UPDATE holdfast_records AS r SET {', '.join(given + cleared)}"  # noqa: S608
        f" FROM {_rows(columns, numbers)} WHERE r.collection = w.collection AND r.key = w.key"
    )


def _rows(columns: dict[str, str], numbers: Iterator[int]) -> str:
    arrays = ", ".join(f"${next(numbers)}::{kind}[]" for kind in columns.values())
    return f"unnest({arrays}) AS w ({', '.join(columns)})"
