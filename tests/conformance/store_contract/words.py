"""Short words for stores, in which the suite is written."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import pytest

from holdfast_backends.encoding import integer_key
from holdfast_backends.store import (
    UPDATED,
    Changes,
    CommitConflictError,
    EventRow,
    Head,
    IndexSlot,
    Loaded,
    Row,
    RowChange,
    Span,
    Store,
    StoredReply,
    Unit,
    Wanted,
)
from holdfast_backends.values import JsonObject, encode_json

T = TypeVar("T")

TASKS = "tasks"
OWNER = IndexSlot(0, ("owner",), ready=True)


def row(number: int, document: JsonObject | None = None, **facts: int) -> Row:
    """A row with an integer id; without a document a tombstone."""
    text = None if document is None else encode_json({"id": number, **document})
    created_at = facts.get("created_at", 1)
    updated_at = facts.get("updated_at", 1)
    version = facts.get("version", 1)
    expires_at = facts.get("expires_at")
    return Row(integer_key(number), version, text, created_at, updated_at, expires_at)


def reply(text: str = "", at: int = 1) -> StoredReply:
    """What was answered to a message."""
    return StoredReply(f"digest of {text}".encode(), text.encode(), at)


def event(
    sequence: int, message_id: str | None = None, sender: str | None = "me", number: int = 1
) -> EventRow:
    """A change of the record with an integer id."""
    document = encode_json({"id": number, "sequence": sequence})
    return EventRow(
        sequence, UPDATED, integer_key(number), sequence, document, 5, sender, message_id
    )


async def put(
    unit: Unit,
    rows: Sequence[Row],
    collection: str = TASKS,
    slots: Sequence[IndexSlot] = (),
    head: Head | None = None,
) -> None:
    """Commit rows over what is there, with index entries in these slots."""
    places = [(collection, new.key) for new in rows]
    loaded = await unit.load(Wanted([collection], places, []))
    changes = Changes()
    for place, new in zip(places, rows, strict=True):
        changes.rows[place] = RowChange(loaded.rows.get(place), new)
    if slots:
        changes.slots[collection] = tuple(slots)
        changes.heads[collection] = Head(slots=tuple(slots))
    if head is not None:
        changes.heads[collection] = head
    await unit.commit(changes)


async def keep(
    store: Store,
    *rows: Row,
    collection: str = TASKS,
    slots: Sequence[IndexSlot] = (),
    head: Head | None = None,
) -> None:
    """Put rows in a unit of their own."""
    async with store.write([collection]) as unit:
        await put(unit, rows, collection, slots, head)


async def answer(store: Store, *replies: tuple[str, StoredReply], sender: str = "me") -> None:
    """Keep replies to messages of a sender."""
    async with store.write([]) as unit:
        stored = {(sender, message_id): stored for message_id, stored in replies}
        await unit.commit(Changes(replies=stored))


async def tell(store: Store, *events: EventRow, collection: str = TASKS) -> None:
    """Put events into the outbox, and raise the head's sequence with them."""
    async with store.write([collection]) as unit:
        loaded = await unit.load(Wanted([collection], [], []))
        head = loaded.heads.get(collection, Head())._replace(sequence=events[-1].sequence)
        await unit.commit(Changes(heads={collection: head}, events={collection: list(events)}))


async def outbox(store: Store, collection: str = TASKS) -> list[EventRow]:
    """All events of a collection that are kept."""
    return list(await store.events(collection, 0, 100_000))


async def load(store: Store, wanted: Wanted) -> Loaded:
    """Load from a snapshot of its own."""
    async with store.read() as snapshot:
        return await snapshot.load(wanted)


async def contents(store: Store, collection: str = TASKS) -> list[Row]:
    """All live rows of a collection."""
    async with store.read() as snapshot:
        return list(await snapshot.scan(Span(collection), 100_000))


async def persist(attempt: Callable[[], Awaitable[T]], *, most: int = 200) -> T:
    """Begin again after conflicts, as the executor does."""
    for _count in range(most):
        try:
            return await attempt()
        except CommitConflictError:
            continue
    pytest.fail(f"still in conflict after {most} attempts")
