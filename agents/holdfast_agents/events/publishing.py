"""Announcing events of one collection: batches for whoever listens to changes, and each by itself.

What nobody is bound for is not announced: the first event of each key tells. Whoever binds after
that first one was committed after all of the page, so it misses nothing that it could expect.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from holdfast_backends.store import EventRow
from holdfast_protocol.bus.contract import Announcement, Bus
from holdfast_protocol.jsonbytes import join_array

from .encoding import KINDS, event_body

_BATCH_EVENTS: Final = 200
_BATCH_BYTES: Final = 256 * 1024


async def announce(bus: Bus, collection: str, events: Sequence[EventRow]) -> None:
    """Announce events in their sequence. Returns when the broker has them.

    Raises:
        UnavailableError: it may have the first few of them, and never one without those before.
    """
    bodies = [event_body(collection, event) for event in events]
    await _announce_batches(bus, collection, bodies)
    await _announce_each(bus, collection, events, bodies)


async def _announce_batches(bus: Bus, collection: str, bodies: Sequence[bytes]) -> None:
    batches = _batches(bodies)
    first = Announcement("changes", collection, next(batches))
    if (await bus.announce([first]))[0]:
        await bus.announce([Announcement("changes", collection, batch) for batch in batches])


async def _announce_each(
    bus: Bus, collection: str, events: Sequence[EventRow], bodies: Sequence[bytes]
) -> None:
    bound: dict[int, bool] = {}
    waiting: list[Announcement] = []
    for event, body in zip(events, bodies, strict=True):
        wanted = bound.get(event.kind)
        if wanted is False:
            continue
        key = f"{collection}.{KINDS[event.kind]}"
        waiting.append(Announcement("events", key, body))
        if wanted is None:
            bound[event.kind] = (await bus.announce(waiting))[-1]
            waiting = []
    if waiting:
        await bus.announce(waiting)


def _batches(bodies: Sequence[bytes]) -> Iterator[bytes]:
    """Arrays of consecutive events, each of bounded size."""
    start, size = 0, 0
    for place, body in enumerate(bodies):
        if place > start and (place - start >= _BATCH_EVENTS or size + len(body) > _BATCH_BYTES):
            yield join_array(bodies[start:place])
            start, size = place, 0
        size += len(body)
    yield join_array(bodies[start:])
