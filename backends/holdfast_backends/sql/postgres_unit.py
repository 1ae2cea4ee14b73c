"""Snapshots and units of PostgreSQL."""

from collections.abc import Iterable, Mapping, Sequence

from holdfast_backends.store import (
    Changes,
    EventRow,
    Head,
    IdentityKey,
    IndexSlot,
    Loaded,
    Row,
    RowChange,
    RowKey,
    StoredReply,
    Wanted,
)

from . import postgres_texts as texts
from .postgres_session import PostgresSession
from .postgres_texts import shortened, shortened_nullable
from .rows import event_rows, head_of, head_rows, index_columns, slots_used
from .snapshot import Columns, SqlSnapshot
from .statements import Statement, Statements

_HEAD, _RECORD = 0, 1  # kinds of rows that `holdfast_load_2` answers; the third is a reply
_NOTHING = Wanted((), (), ())


class PostgresSnapshot(SqlSnapshot):
    """A read transaction: it sees the state at its first read."""

    def __init__(self, session: PostgresSession, statements: Statements) -> None:
        super().__init__(session, statements)
        self._connection = session

    async def load(self, wanted: Wanted) -> Loaded:
        """As `store.Snapshot.load`."""
        return _loaded(await self._connection.fetch(texts.LOAD, _wanted_arrays(wanted)))


class PostgresUnit(PostgresSnapshot):
    """A write transaction that holds the locks of its collections from its first statement on."""

    def __init__(
        self,
        session: PostgresSession,
        statements: Statements,
        collections: Sequence[str],
        *,
        everything: bool,
    ) -> None:
        super().__init__(session, statements)
        self._locks = (everything, [] if everything else list(collections))
        self._is_open = False
        self._repeats = False  # an outcome of before may be answered again
        self._is_committed = False

    async def load(self, wanted: Wanted) -> Loaded:
        """As `store.Snapshot.load`; the first one takes the locks in the same round trip."""
        loaded = await (super().load(wanted) if self._is_open else self._open(wanted))
        self._repeats = self._repeats or bool(loaded.replies)
        return loaded

    async def _open(self, wanted: Wanted) -> Loaded:
        arguments = (*self._locks, *_wanted_arrays(wanted))
        rows = await self._connection.fetch(texts.OPEN, arguments)
        self._is_open = True
        return _loaded(rows)

    async def confirm(self) -> None:
        """Wait until standbys have what is answered again. It may have been committed here alone:
        by a commit whose wait for them ended early, with a crash or a cancellation.

        Raises:
            UnavailableError: they do not have it in time.
        """
        if self._repeats and not self._is_committed:
            await self._connection.change(texts.MARK_LOG, ())
            await self._connection.commit()

    async def _fetch(self, statement: Statement, values: Mapping[str, object]) -> Sequence[Columns]:
        if not self._is_open:
            await self._open(_NOTHING)
        return await super()._fetch(statement, values)

    async def commit(self, changes: Changes) -> None:
        """As `store.Unit.commit`."""
        if not self._is_open:
            await self._open(_NOTHING)
        used = slots_used(changes.slots)
        new = [item for item in changes.rows.items() if item[1].previous is None]
        changed = [item for item in changes.rows.items() if item[1].previous is not None]
        text = texts.commit(
            new=bool(new),
            changed=bool(changed),
            replies=bool(changes.replies),
            heads=bool(changes.heads),
            events=bool(changes.events),
            used=used,
        )
        arguments = [
            *_record_arrays(new, changes.slots, used),
            *_record_arrays(changed, changes.slots, used),
            *_reply_arrays(changes.replies),
            *_columns(head_rows(changes.heads)),
            *_event_arrays(changes.events),
        ]
        if arguments:
            await self._connection.change(text, arguments)
        await self._connection.commit()
        self._is_committed = bool(arguments)


def is_appendable(expected: Head, reached: Head, changes: Changes) -> bool:
    """Whether `holdfast_append` can do all of it in a collection without indexes: it numbers
    records and events itself, without gaps, and takes the sender and id of each event from the
    reply in the same place."""
    if len(changes.heads) != 1:
        return False
    count = len(changes.rows)
    if reached.next_id - expected.next_id != count or reached.sequence - expected.sequence != count:
        return False
    told = [
        (event.sender, event.message_id) for events in changes.events.values() for event in events
    ]
    if not changes.replies:
        return all(place == (None, None) for place in told)
    return not told or told == list(changes.replies)


def append_arguments(
    collection: str, expected: Head, reached: Head, changes: Changes
) -> tuple[object, ...]:
    """What `holdfast_append` takes of a unit that only made new records."""
    rows = [change.row for change in changes.rows.values()]
    replies = changes.replies
    return (
        collection,
        expected.next_id - 1,
        reached.next_id - 1,
        rows[0].created_at,
        [row.document for row in rows],
        shortened_nullable([row.expires_at for row in rows]),
        shortened([sender for sender, _message_id in replies]),
        [message_id for _sender, message_id in replies],
        [reply.digest for reply in replies.values()],
        [reply.outcome for reply in replies.values()],
        expected.sequence,
        bool(changes.events),
    )


def _wanted_arrays(wanted: Wanted) -> tuple[Sequence[object], ...]:
    rows, identities = wanted.rows, wanted.identities
    return (
        list(wanted.collections),
        shortened([collection for collection, _key in rows]),
        [key for _collection, key in rows],
        shortened([sender for sender, _message_id in identities]),
        [message_id for _sender, message_id in identities],
    )


def _loaded(found: Iterable[Columns]) -> Loaded:
    heads: dict[str, Head] = {}
    rows: dict[RowKey, Row] = {}
    replies: dict[IdentityKey, StoredReply] = {}
    for kind, name, detail, key, body, number, created_at, updated_at, expires_at in found:
        if kind == _RECORD:
            rows[name, key] = Row(key, number, body, created_at, updated_at, expires_at)
        elif kind == _HEAD:
            heads[name] = head_of(number, detail, created_at)
        else:
            replies[name, detail] = StoredReply(key, body, number)
    return Loaded(heads, rows, replies)


def _record_arrays(
    items: Sequence[tuple[RowKey, RowChange]],
    slots: Mapping[str, tuple[IndexSlot, ...]],
    used: int,
) -> list[Sequence[object]]:
    if not items:
        return []
    rows = [change.row for _place, change in items]
    return [
        shortened([collection for (collection, _key), _change in items]),
        [row.key for row in rows],
        shortened([row.version for row in rows]),
        [row.document for row in rows],
        shortened([row.created_at for row in rows]),
        shortened([row.updated_at for row in rows]),
        shortened_nullable([row.expires_at for row in rows]),
        *index_columns(items, slots, used),
    ]


def _reply_arrays(replies: Mapping[IdentityKey, StoredReply]) -> list[Sequence[object]]:
    if not replies:
        return []
    return [
        shortened([sender for sender, _message_id in replies]),
        [message_id for _sender, message_id in replies],
        [reply.digest for reply in replies.values()],
        [reply.outcome for reply in replies.values()],
        shortened([reply.at for reply in replies.values()]),
    ]


def _event_arrays(events: Mapping[str, Sequence[EventRow]]) -> list[Sequence[object]]:
    columns = _columns(event_rows(events))
    if not columns:
        return []
    *others, sender, message_id = columns
    nullable = (shortened_nullable(sender), shortened_nullable(message_id))
    return [*(shortened(column) for column in others), *nullable]


def _columns(rows: Sequence[tuple[object, ...]]) -> list[Sequence[object]]:
    """Rows as columns; nothing of no rows."""
    return [list(column) for column in zip(*rows, strict=True)]
