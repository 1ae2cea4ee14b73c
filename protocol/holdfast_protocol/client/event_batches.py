"""Batches of events as they are pushed, and what is new in them."""

from collections.abc import Sequence

import orjson

from holdfast_protocol.client.answers import unexpected
from holdfast_protocol.errors import ConflictError
from holdfast_protocol.events import ChangeEvent, decode_events


def read_batch(collection: str, body: bytes) -> list[ChangeEvent]:
    """The events of a pushed body. Raises HoldfastError for what is no batch of the collection."""
    events = decode_events(body)
    if any(event.collection != collection for event in events):
        raise unexpected("batch of one collection")
    return events


def is_consecutive(events: Sequence[ChangeEvent]) -> bool:
    """Whether no sequence is left out: a batch that leaves one out may hide an event."""
    first = events[0].sequence if events else 0
    return all(event.sequence == first + place for place, event in enumerate(events))


def rising(events: Sequence[ChangeEvent], after: int) -> list[ChangeEvent]:
    """The events above `after`, each above the one before it."""
    new: list[ChangeEvent] = []
    for event in events:
        if event.sequence > after:
            new.append(event)
            after = event.sequence
    return new


def size_of(events: Sequence[ChangeEvent]) -> int:
    """About as many bytes as they had on the wire."""
    return len(orjson.dumps([event.document for event in events]))


def ahead_of_store(collection: str, position: int, last_sequence: int) -> ConflictError:
    """The error for a position that the collection has not reached."""
    return ConflictError(
        f"The events of {collection!r} were followed up to {position}, but its last change is "
        f"{last_sequence}: the store was restored or began anew, or events were forged. Begin "
        f"after 0 for all that it keeps, or after {last_sequence} for what it does next",
        {"collection": collection, "position": position, "last_sequence": last_sequence},
    )
