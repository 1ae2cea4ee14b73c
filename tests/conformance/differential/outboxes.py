"""Comparing outboxes: of all backends with each other, and with what the model tells."""

from collections.abc import Mapping
from typing import Any

from holdfast_backends.encoding import record_id
from holdfast_backends.outbox import MAX_EVENTS
from holdfast_backends.store import CREATED, DELETED, UPDATED
from holdfast_backends.testing.harness import AnyBackend
from holdfast_backends.values import decode_document
from tests.conformance.differential.model import Event, Model
from tests.conformance.differential.naive import spelled

_KINDS = {CREATED: "created", UPDATED: "updated", DELETED: "deleted"}
_PAGE_BYTES = 100_000

Told = tuple[str, str, int, int, str, Any]
"""Kind, id (spelled), version, instant, document (spelled), and whose message it was."""


async def disagreement_of_outboxes(backends: Mapping[str, AnyBackend], model: Model) -> str | None:
    """How an outbox differs from what the model tells, or None. What was compared is then
    published, and forgotten by the model."""
    last = {
        name: collection.told + len(collection.events)
        for name, collection in model.collections.items()
        if collection.told + len(collection.events)
    }
    for backend_name, backend in backends.items():
        positions = dict(await backend.outbox.positions())
        if positions != last:
            return f"the positions of {backend_name} are {positions}, and should be {last}"
        for name in last:
            difference = await _difference(backend, name, model)
            if difference is not None:
                return f"{backend_name}, {name}: {difference}"
        await backend.outbox.mark_published(last)
        if await backend.outbox.unpublished():
            return f"{backend_name} has more to publish"
    for name, sequence in last.items():
        collection = model.collections[name]
        collection.told, collection.events = sequence, []
    return None


async def _difference(backend: AnyBackend, name: str, model: Model) -> str | None:
    collection = model.collections[name]
    after = collection.told
    told: list[Told] = []
    while True:
        page = await backend.outbox.read(name, after, MAX_EVENTS, _PAGE_BYTES)
        if not page.events:
            break
        for event in page.events:
            after += 1
            if event.sequence != after:
                return f"{after} should follow, not {event.sequence}"
            actor = None if event.sender is None else (event.sender, event.message_id)
            document = spelled(decode_document(event.document))
            kind, id_ = _KINDS[event.kind], spelled(record_id(event.key))
            told.append((kind, id_, event.version, event.at, document, actor))
    expected = _settled([_told(event) for event in collection.events])
    for place, (one, other) in enumerate(zip(_settled(told), expected, strict=False)):
        if one != other:
            return f"event {collection.told + place + 1} is {one}, and should be {other}"
    if len(told) != len(expected):
        return f"{len(told)} events, and should be {len(expected)}"
    return None


def _told(event: Event) -> Told:
    document = spelled(event.document)
    id_ = spelled(event.document["id"])
    return event.kind, id_, event.version, event.at, document, event.actor


def _settled(events: list[Told]) -> list[Told]:
    """What is swept away at one moment may be told in any order."""
    settled: list[Told] = []
    swept: list[Told] = []
    for event in events:
        kind, _id, _version, at, _document, actor = event
        is_swept = kind == "deleted" and actor is None
        if swept and (not is_swept or at != swept[-1][3]):
            settled += sorted(swept)
            swept = []
        (swept if is_swept else settled).append(event)
    return settled + sorted(swept)
