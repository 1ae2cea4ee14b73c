"""The in-memory backend: dictionaries and sorted keys, in this process only.

It keeps the same bytes as the durable stores do, so that what it hands out is never shared.
"""

import asyncio
from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from .backend import (
    DEFAULT_EVENT_RETENTION_SECONDS,
    DEFAULT_RETENTION_SECONDS,
    StoreBackend,
    system_clock,
)
from .contract import Capabilities
from .errors import InvalidValueError, StorageError
from .executor import Clock
from .opening import BackendOptions
from .store import (
    Changes,
    EventRow,
    Head,
    IdentityKey,
    IndexSlot,
    Loaded,
    Row,
    Scanned,
    Snapshot,
    Span,
    StoredReply,
    Unit,
    Wanted,
)
from .values import INTERNAL


@dataclass(slots=True)
class _Collection:
    """The rows of one collection, and the keys of the live ones in order."""

    rows: dict[bytes, Row] = field(default_factory=dict)
    live_keys: list[bytes] = field(default_factory=list)
    expiring: set[bytes] = field(default_factory=set)

    def put(self, row: Row) -> None:
        previous = self.rows.get(row.key)
        was_live = previous is not None and previous.document is not None
        is_live = row.document is not None
        self.rows[row.key] = row
        if is_live and not was_live:
            insort(self.live_keys, row.key)
        elif was_live and not is_live:
            del self.live_keys[bisect_left(self.live_keys, row.key)]
        if is_live and row.expires_at is not None:
            self.expiring.add(row.key)
        elif self.expiring:
            self.expiring.discard(row.key)

    def expired(self, now: int) -> list[Row]:
        rows = (self.rows[key] for key in self.expiring)
        return [row for row in rows if row.expires_at is not None and row.expires_at <= now]


_MAX_EVENTS = 100_000


class MemoryStore:
    """A store in this process's memory. Open or not makes no difference to it.

    Of each collection it keeps the newest 100,000 events, also when nobody publishes them.
    """

    def __init__(self) -> None:
        self._collections: dict[str, _Collection] = {}
        self._heads: dict[str, Head] = {}
        # By age: replies are added with rising instants, so the oldest stand first.
        self._replies: dict[IdentityKey, StoredReply] = {}
        self._events: dict[str, deque[EventRow]] = {}
        self._published: dict[str, int] = {}
        self._lock = asyncio.Lock()

    @property
    def capabilities(self) -> Capabilities:
        """Nothing survives the process."""
        return Capabilities(durable=False, crash_safe=False, shared=False, indexes=False)

    @asynccontextmanager
    async def read(self, *, single: bool = False) -> AsyncIterator[Snapshot]:
        """A snapshot: nobody writes while it is open."""
        del single
        async with self._lock:
            yield _MemoryUnit(self)

    @asynccontextmanager
    async def write(
        self, collections: Sequence[str], *, everything: bool = False
    ) -> AsyncIterator[Unit]:
        """A unit: one at a time, whatever its collections."""
        del collections, everything
        async with self._lock:
            yield _MemoryUnit(self)

    async def append(self, collection: str, expected: Head, prepare: Callable[[], Changes]) -> bool:
        """Not worth it here: a unit costs nothing."""
        del collection, expected, prepare
        return False

    async def scan_once(
        self, span: Span, limit: int, declared: tuple[IndexSlot, ...]
    ) -> Scanned | None:
        """Not worth it here: a snapshot costs nothing."""
        del span, limit, declared
        return None

    async def heads(self) -> Mapping[str, Head]:
        """The heads of all collections."""
        return self.all_heads()

    async def events(self, collection: str, after: int, limit: int) -> Sequence[EventRow]:
        """The first events above a sequence."""
        events = self._events.get(collection)
        if not events:
            return []
        # One for each sequence, so a place follows from it; a deque is walked from its nearer end.
        start = max(0, after + 1 - events[0].sequence)
        return [events[place] for place in range(start, min(start + limit, len(events)))]

    async def unpublished(self) -> Mapping[str, int]:
        """The collections with changes past their mark."""
        return {
            name: self._published.get(name, 0)
            for name, head in self._heads.items()
            if head.sequence > self._published.get(name, 0) and not name.startswith(INTERNAL)
        }

    async def mark_published(self, marks: Mapping[str, int]) -> None:
        """Raise marks."""
        for name, mark in marks.items():
            self._published[name] = max(mark, self._published.get(name, 0))

    async def forget_events(self, collection: str, upto: int, limit: int) -> int:
        """Remove the first events."""
        events = self._events.get(collection, deque())
        forgotten = 0
        while events and events[0].sequence <= upto and forgotten < limit:
            events.popleft()
            forgotten += 1
        return forgotten

    async def forget_replies(self, before: int, limit: int) -> int:
        """Remove stored replies older than an instant."""
        async with self._lock:
            old: list[IdentityKey] = []
            for key, reply in self._replies.items():
                if reply.at >= before or len(old) >= limit:
                    break
                old.append(key)
            for key in old:
                del self._replies[key]
            return len(old)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        return None

    # -- what a unit does ----------------------------------------------------------------------

    def collection(self, name: str) -> _Collection | None:
        """The rows of a collection, if it has any."""
        return self._collections.get(name)

    def all_heads(self) -> Mapping[str, Head]:
        """The heads of all collections."""
        return dict(self._heads)

    def load(self, wanted: Wanted) -> Loaded:
        """What is known of these."""
        heads = {name: self._heads[name] for name in wanted.collections if name in self._heads}
        rows = {}
        for name, key in wanted.rows:
            collection = self._collections.get(name)
            if collection is not None and key in collection.rows:
                rows[(name, key)] = collection.rows[key]
        known = self._replies
        replies = {key: known[key] for key in wanted.identities if key in known}
        return Loaded(heads, rows, replies)

    def commit(self, changes: Changes) -> None:
        """Apply all changes. Nothing awaits in between, so nobody sees a part of them."""
        self._heads.update(changes.heads)
        for (name, _key), change in changes.rows.items():
            collection = self._collections.get(name)
            if collection is None:
                collection = self._collections[name] = _Collection()
            collection.put(change.row)
        self._replies.update(changes.replies)
        for name, events in changes.events.items():
            kept = self._events.get(name)
            if kept is None:
                kept = self._events[name] = deque(maxlen=_MAX_EVENTS)
            kept.extend(events)

    def collections(self) -> Mapping[str, _Collection]:
        """All collections that ever had a row."""
        return self._collections


class _MemoryUnit:
    """One holder of the store's lock."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def load(self, wanted: Wanted) -> Loaded:
        return self._store.load(wanted)

    async def heads(self) -> Mapping[str, Head]:
        return self._store.all_heads()

    async def scan(self, span: Span, limit: int) -> Sequence[Row]:
        if span.slot is not None:
            raise StorageError("the in-memory store has no indexes")
        collection = self._store.collection(span.collection)
        if collection is None:
            return []
        keys = collection.live_keys
        start, end = 0, len(keys)
        if span.after is not None and span.descending:
            end = bisect_left(keys, span.after[1])
        elif span.after is not None:
            start = bisect_right(keys, span.after[1])
        if span.descending:
            chosen = keys[max(start, end - limit) : end][::-1]
        else:
            chosen = keys[start : min(end, start + limit)]
        return [collection.rows[key] for key in chosen]

    async def count(self, collection: str, now: int) -> int:
        rows = self._store.collection(collection)
        return 0 if rows is None else len(rows.live_keys) - len(rows.expired(now))

    async def counts(self, now: int) -> Mapping[str, int]:
        counts = {name: await self.count(name, now) for name in self._store.collections()}
        return {name: number for name, number in counts.items() if number}

    async def expired(self, now: int, limit: int) -> Sequence[tuple[str, Row]]:
        found = [
            (name, row)
            for name, collection in self._store.collections().items()
            for row in collection.expired(now)
        ]
        return found[:limit]

    async def commit(self, changes: Changes) -> None:
        self._store.commit(changes)


class InMemoryBackend(StoreBackend):
    """Keeps everything in this process's memory; works without entering it, too.

    Args:
        clock: gives the instant, microseconds since 1970.
        retention_seconds: how long a message's identity and reply are kept.
        keep_events: whether changes are put into the outbox.
        event_retention_seconds: how long they are kept there.
    """

    def __init__(
        self,
        *,
        clock: Clock = system_clock,
        retention_seconds: float = DEFAULT_RETENTION_SECONDS,
        keep_events: bool = True,
        event_retention_seconds: float = DEFAULT_EVENT_RETENTION_SECONDS,
    ) -> None:
        super().__init__(
            MemoryStore(),
            clock=clock,
            retention_seconds=retention_seconds,
            keep_events=keep_events,
            event_retention_seconds=event_retention_seconds,
        )


def open_memory(url: str, options: BackendOptions) -> InMemoryBackend:
    """The factory of `memory://` URLs.

    Raises:
        InvalidValueError: there is more in the URL than its scheme.
    """
    if url != "memory://":
        raise InvalidValueError("the in-memory backend's URL is memory:// and nothing more")
    return InMemoryBackend(
        clock=options.clock,
        retention_seconds=options.retention_seconds,
        keep_events=options.keep_events,
        event_retention_seconds=options.event_retention_seconds,
    )
