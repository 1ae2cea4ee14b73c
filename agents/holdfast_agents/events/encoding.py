"""Events of the outbox as the bodies that are published. Source: the wire contract, section 9."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from holdfast_backends.encoding import record_id
from holdfast_backends.store import CREATED, DELETED, UPDATED, EventRow
from holdfast_protocol.events import encode_event

KINDS: Final[Mapping[int, str]] = MappingProxyType(
    {CREATED: "created", UPDATED: "updated", DELETED: "deleted"}
)


def event_body(collection: str, event: EventRow) -> bytes:
    """One event's JSON."""
    return encode_event(
        collection,
        KINDS[event.kind],
        record_id(event.key),
        event.version,
        event.sequence,
        event.message_id,
        event.sender,
        event.at,
        event.document,
    )
