"""Snapshots and units of SQLite."""

from collections.abc import Iterable, Sequence

from holdfast_backends.store import (
    Changes,
    IdentityKey,
    Loaded,
    Row,
    RowChange,
    RowKey,
    StoredReply,
    Wanted,
)

from . import sqlite_texts as texts
from .rows import event_rows, head_of, head_rows, index_columns, slots_used
from .snapshot import Columns, SqlSnapshot
from .sqlite_session import SqliteSession
from .statements import Statements


class SqliteSnapshot(SqlSnapshot):
    """A read transaction: it sees the state at its first read."""

    def __init__(self, session: SqliteSession, statements: Statements) -> None:
        super().__init__(session, statements)
        self._connection = session

    async def load(self, wanted: Wanted) -> Loaded:
        """As `store.Snapshot.load`."""
        names = [(name,) for name in wanted.collections]
        heads = {
            name: head_of(*columns)
            for name, *columns in await self._look_up(texts.LOAD_HEADS, names)
        }
        rows: dict[RowKey, Row] = {
            (collection, columns[0]): Row(*columns)
            for collection, *columns in await self._look_up(texts.LOAD_ROWS, wanted.rows)
        }
        replies: dict[IdentityKey, StoredReply] = {
            (sender, message_id): StoredReply(*columns)
            for sender, message_id, *columns in await self._look_up(
                texts.LOAD_REPLIES, wanted.identities
            )
        }
        return Loaded(heads, rows, replies)

    async def _look_up(self, select: str, keys: Sequence[tuple[object, ...]]) -> list[Columns]:
        found: list[Columns] = []
        for size, values in texts.chunks(keys):
            text = texts.looked_up(select, len(keys[0]), size)
            found += await self._connection.fetch(text, values)
        return found


class SqliteUnit(SqliteSnapshot):
    """A write transaction: from its first statement on, nobody else writes to the file."""

    async def commit(self, changes: Changes) -> None:
        """As `store.Unit.commit`."""
        session = self._connection
        replies = [
            (*identity, reply.digest, reply.outcome, reply.at)
            for identity, reply in changes.replies.items()
        ]
        await _change(session, texts.SAVE_HEAD, head_rows(changes.heads))
        await self._save_rows(changes)
        await _change(session, texts.SAVE_REPLY, replies)
        await _change(session, texts.SAVE_EVENT, event_rows(changes.events))
        await session.begin()
        await session.commit()

    async def _save_rows(self, changes: Changes) -> None:
        used = slots_used(changes.slots)
        new = [item for item in changes.rows.items() if item[1].previous is None]
        changed = [item for item in changes.rows.items() if item[1].previous is not None]
        inserts = [(*place, *values) for place, values in _values(new, changes, used)]
        updates = [(*values, *place) for place, values in _values(changed, changes, used)]
        await _change(self._connection, texts.insert_record(used), inserts)
        await _change(self._connection, texts.update_record(used), updates)


def _values(
    items: Sequence[tuple[RowKey, RowChange]], changes: Changes, used: int
) -> Iterable[tuple[RowKey, tuple[object, ...]]]:
    """The columns of new rows, without their keys, with their index entries."""
    indexes = list(zip(*index_columns(items, changes.slots, used), strict=True))
    for position, (place, change) in enumerate(items):
        row = change.row
        facts = (row.version, row.document, row.created_at, row.updated_at, row.expires_at)
        yield place, (*facts, *indexes[position]) if used else facts


async def _change(session: SqliteSession, text: str, rows: Sequence[tuple[object, ...]]) -> None:
    if rows:
        await session.change(text, rows)
