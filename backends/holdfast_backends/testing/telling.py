"""The short words that the cases of events and locks are written in."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from holdfast_backends.contract import Backend
from holdfast_backends.encoding import record_id
from holdfast_backends.identity import Identity
from holdfast_backends.operations import Acquire, Inspect, Release, Renew
from holdfast_backends.outbox import EventPage
from holdfast_backends.outcomes import Leased
from holdfast_backends.store import CREATED, DELETED, UPDATED
from holdfast_backends.values import DEFAULT_COLLECTION, JsonObject, RecordId, decode_document

from .harness import expect, perform

LOCK = "lock"
ANOTHER = "another"
LEASE_SECONDS = 10.0

_KINDS: Mapping[int, str] = {CREATED: "created", UPDATED: "updated", DELETED: "deleted"}


class Told(NamedTuple):
    """What an event says of a change, beside when and by whom."""

    sequence: int
    kind: str
    id: RecordId
    version: int
    document: JsonObject


async def page(
    backend: Backend,
    collection: str = DEFAULT_COLLECTION,
    *,
    after: int = 0,
    limit: int = 1_000,
    max_bytes: int | None = None,
) -> EventPage:
    """Some events of a collection."""
    return await backend.outbox.read(collection, after, limit, max_bytes)


def told_by(events: EventPage) -> list[Told]:
    """What the events say."""
    return [
        Told(
            event.sequence,
            _KINDS[event.kind],
            record_id(event.key),
            event.version,
            decode_document(event.document),
        )
        for event in events.events
    ]


async def told(backend: Backend, collection: str = DEFAULT_COLLECTION) -> list[Told]:
    """What all events of a collection say; at most 1,000."""
    return told_by(await page(backend, collection))


async def kinds(backend: Backend, collection: str = DEFAULT_COLLECTION) -> list[str]:
    """The kinds of all events of a collection, in their order."""
    return [event.kind for event in await told(backend, collection)]


def sequences(events: EventPage) -> list[int]:
    """The sequences of events."""
    return [event.sequence for event in events.events]


def is_gapless(numbers: Iterable[int]) -> bool:
    """Whether they are 1, 2, 3, …"""
    found = list(numbers)
    return found == list(range(1, len(found) + 1))


# -- locks -------------------------------------------------------------------------------------


async def acquire(
    backend: Backend,
    name: str = LOCK,
    *,
    owner: str = "me",
    seconds: float = LEASE_SECONDS,
    identity: Identity | None = None,
) -> Leased:
    """Take a lock that nobody holds."""
    return expect(Leased, await perform(backend, Acquire(name, owner, seconds, identity)))


async def renew(
    backend: Backend, token: int, name: str = LOCK, *, seconds: float = LEASE_SECONDS
) -> Leased:
    """Keep a lock that is held."""
    return expect(Leased, await perform(backend, Renew(name, token, seconds)))


async def release(backend: Backend, token: int, name: str = LOCK) -> Leased:
    """Give a lock back."""
    return expect(Leased, await perform(backend, Release(name, token)))


async def holder(backend: Backend, name: str = LOCK) -> Leased:
    """The lease of a lock that is held."""
    return expect(Leased, await perform(backend, Inspect(name)))
