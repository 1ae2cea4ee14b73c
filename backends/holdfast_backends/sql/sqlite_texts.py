"""The statements of SQLite alone: look-ups of many keys at once, and changes."""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import TypeVar

from .schema import SLOTS

_CHUNKS = (1, 8, 64, 256)
_T = TypeVar("_T")

LOAD_HEADS = "SELECT name, highest_id, slots, sequence FROM w JOIN holdfast_collections ON name = a"
LOAD_ROWS = (
    "SELECT collection, key, version, document, created_at, updated_at, expires_at"
    " FROM w CROSS JOIN holdfast_records ON collection = a AND key = b"
)
LOAD_REPLIES = (
    "SELECT sender, message_id, digest, outcome, at"
    " FROM w CROSS JOIN holdfast_messages ON sender = a AND message_id = b"
)
SAVE_HEAD = (
    "INSERT INTO holdfast_collections (name, highest_id, slots, sequence) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (name) DO UPDATE SET highest_id = excluded.highest_id, slots = excluded.slots,"
    " sequence = excluded.sequence"
)
SAVE_EVENT = (
    "INSERT INTO holdfast_events"
    " (collection, sequence, kind, key, version, document, at, sender, message_id)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
MARK_PUBLISHED = (
    "INSERT INTO holdfast_published (collection, sequence) VALUES (?, ?)"
    " ON CONFLICT (collection) DO UPDATE SET sequence = max(sequence, excluded.sequence)"
)
FORGET_EVENTS = (
    "DELETE FROM holdfast_events WHERE rowid IN (SELECT rowid FROM holdfast_events"
    " WHERE collection = ? AND sequence <= ? ORDER BY sequence LIMIT ?)"
)
SAVE_REPLY = (
    "INSERT INTO holdfast_messages (sender, message_id, digest, outcome, at) VALUES (?, ?, ?, ?, ?)"
)
FORGET_REPLIES = (
    "DELETE FROM holdfast_messages WHERE rowid IN"
    " (SELECT rowid FROM holdfast_messages WHERE at < ? ORDER BY at LIMIT ?)"
)
CHANGED = "SELECT changes()"

_COLUMNS = ("version", "document", "created_at", "updated_at", "expires_at")


def chunks(items: Sequence[tuple[_T, ...]]) -> Iterator[tuple[int, list[_T]]]:
    """Keys in chunks of few different sizes, so that few statements serve all; each chunk flat.

    The last one is filled up by repeating its last key: the result is the same.
    """
    start = 0
    while start < len(items):
        size = next((size for size in _CHUNKS if size >= len(items) - start), _CHUNKS[-1])
        chunk = items[start : start + size]
        filled = [*chunk, *[chunk[-1]] * (size - len(chunk))]
        yield size, [value for item in filled for value in item]
        start += size


@cache
def looked_up(select: str, width: int, count: int) -> str:
    """A look-up of `count` keys, each of `width` values."""
    names = "ab"[:width]
    row = f"({', '.join('?' * width)})"
    return f"WITH w ({', '.join(names)}) AS (VALUES {', '.join([row] * count)}) {select}"


@cache
def insert_record(used: int) -> str:
    """Insert a record; parameters: collection, key, the columns, the first `used` indexes."""
    names = ("collection", "key", *_COLUMNS, *_indexes(used))
    values = ", ".join("?" * len(names))
    return f"INSERT INTO holdfast_records ({', '.join(names)}) VALUES ({values})"  # noqa: S608


@cache
def update_record(used: int) -> str:
    """Replace a record; parameters: the columns, the first `used` indexes, collection, key."""
    given = [f"{name} = ?" for name in (*_COLUMNS, *_indexes(used))]
    cleared = [f"{name} = NULL" for name in _indexes(SLOTS)[used:]]
    changes = ", ".join(given + cleared)
    return f"UPDATE holdfast_records SET {changes} WHERE collection = ? AND key = ?"  # noqa: S608


def _indexes(count: int) -> list[str]:
    return [f"i{number}" for number in range(count)]
