"""The outbox: changes as events, committed with the writes that made them.

Whoever publishes them reads them here, in sequence, and marks how far it has come; whoever missed
some reads them here again, as long as they are kept. A process that dies between the commit and
the publishing loses nothing: the mark tells the next one where to go on.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from .checks import check_collection
from .errors import EventsPrunedError
from .store import EventRow, Store, Wanted
from .values import INTERNAL

MAX_EVENTS = 1_000
"""How many events one reading gives at most."""
_FIRST_EVENTS = 64
_UNPUBLISHED_TIMES = 10


@dataclass(frozen=True, slots=True)
class EventPage:
    """Some events of a collection, in sequence.

    Args:
        first_sequence: the oldest event that is kept; `last_sequence` + 1 when none is.
        last_sequence: the collection's last change.
    """

    events: Sequence[EventRow]
    first_sequence: int
    last_sequence: int


class Outbox(Protocol):
    """A backend's outbox. Everything may raise `UnavailableError`."""

    async def read(
        self, collection: str, after: int, limit: int, max_bytes: int | None = None
    ) -> EventPage:
        """The first events with a sequence above `after`: at most `limit` (1–1,000), and at most
        `max_bytes` of documents, but at least one.

        Raises:
            EventsPrunedError: some of those are no longer kept.
        """
        ...

    async def positions(self) -> Mapping[str, int]:
        """The sequence of the last change of every collection that ever changed, by name."""
        ...

    async def unpublished(self) -> Mapping[str, int]:
        """The collections with events to publish, and up to which sequence they are published."""
        ...

    async def mark_published(self, marks: Mapping[str, int]) -> None:
        """Events up to these sequences are published."""
        ...

    async def changed(self) -> None:
        """Until this process has committed events that it was not told of yet."""
        ...


class StoreOutbox:
    """The outbox of a store.

    Args:
        keeps_events: whether changes are put into it; positions are known in any case.
    """

    def __init__(self, store: Store, *, keeps_events: bool) -> None:
        self._store = store
        self._keeps_events = keeps_events
        self._changed = asyncio.Event()

    def notice(self) -> None:
        """Events were committed."""
        self._changed.set()

    async def changed(self) -> None:
        """As `Outbox.changed`."""
        await self._changed.wait()
        self._changed.clear()

    async def read(
        self, collection: str, after: int, limit: int, max_bytes: int | None = None
    ) -> EventPage:
        """As `Outbox.read`."""
        check_collection(collection)
        last = await self._last_sequence(collection)
        found = await self._events(collection, after, min(limit, MAX_EVENTS), max_bytes)
        events = _unbroken(found, after)
        if not events and (found or after < last):
            raise EventsPrunedError(collection, after, found[0].sequence if found else last + 1)
        if events:
            last = max(last, events[-1].sequence)
        kept = await self._store.events(collection, 0, 1)
        return EventPage(events, kept[0].sequence if kept else last + 1, last)

    async def _events(
        self, collection: str, after: int, limit: int, max_bytes: int | None
    ) -> Sequence[EventRow]:
        if max_bytes is None:
            return await self._store.events(collection, after, limit)
        events: list[EventRow] = []
        size = 0
        chunk = min(limit, _FIRST_EVENTS)
        while chunk > 0:
            found = await self._store.events(collection, after, chunk)
            for event in found:
                size += len(event.document)
                if events and size > max_bytes:
                    return events
                events.append(event)
                after = event.sequence
            if len(found) < chunk:
                break
            average = size // len(events) + 1
            # At most twice as many as before: large ones may follow many small ones.
            room = max(1, (max_bytes - size) // average)
            chunk = min(limit - len(events), room, 2 * chunk)
        return events

    async def _last_sequence(self, collection: str) -> int:
        async with self._store.read(single=True) as snapshot:
            head = (await snapshot.load(Wanted([collection], [], []))).heads.get(collection)
        return 0 if head is None else head.sequence

    async def positions(self) -> Mapping[str, int]:
        """As `Outbox.positions`."""
        heads = sorted((await self._store.heads()).items())
        return {
            name: head.sequence
            for name, head in heads
            if head.sequence and not name.startswith(INTERNAL)
        }

    async def unpublished(self) -> Mapping[str, int]:
        """As `Outbox.unpublished`."""
        return await self._store.unpublished() if self._keeps_events else {}

    async def mark_published(self, marks: Mapping[str, int]) -> None:
        """As `Outbox.mark_published`."""
        if marks:
            await self._store.mark_published(marks)

    async def prune(self, now: int, retention: int, limit: int) -> int:
        """Remove what is older than `retention` and published, and what is ten times as old: of
        each collection from its beginning, at most `limit`; how many were.

        `now` and `retention` are in microseconds. Events that nobody publishes are not kept for
        ever.
        """
        positions = await self.positions()
        unpublished = await self._store.unpublished()
        pruned = 0
        for collection, last in positions.items():
            published = min(last, unpublished.get(collection, last))
            upto = await self._last_before(collection, now, now - retention, published)
            if published < last:
                forgotten = now - _UNPUBLISHED_TIMES * retention
                upto = max(upto, await self._last_before(collection, now, forgotten, last))
            if upto:
                pruned += await self._store.forget_events(collection, upto, limit)
        return pruned

    async def _last_before(self, collection: str, now: int, before: int, last: int) -> int:
        """The last event, up to `last`, that is older than an instant; 0 when none is. Events
        stand in the order of their time, but for the differences of the writers' clocks, so few
        of them need be looked at. One of the future must not keep all those behind it."""
        first = await self._store.events(collection, 0, 1)
        if not first or first[0].sequence > last or before <= first[0].at <= now:
            return 0
        low, high = first[0].sequence - 1, last
        while low < high:
            middle = (low + high) // 2
            found = await self._store.events(collection, middle, 1)
            if not found or found[0].sequence > high or found[0].at >= before:
                high = middle
            else:
                low = found[0].sequence
        return low


def _unbroken(events: Sequence[EventRow], after: int) -> Sequence[EventRow]:
    """The events that follow on a sequence without a gap: each change has one, where events are
    kept, so behind a gap some are missing."""
    for place, event in enumerate(events):
        if event.sequence != after + 1 + place:
            return events[:place]
    return events
