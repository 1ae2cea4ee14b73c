"""Reading the change events that the store keeps. Source: the wire contract, sections 6 and 9."""

from typing import Annotated

from holdfast_protocol.fields import EventSequence, FetchLimit, NullMeans

from .payload import CollectionPayload, Payload
from .results import Result


def _default_limit() -> int:
    return 100


class StorageEvents(CollectionPayload):
    """The collection's events with a sequence above `after`, in their order."""

    after: Annotated[EventSequence, NullMeans(int)] = 0
    limit: Annotated[FetchLimit, NullMeans(_default_limit)] = 100


class StoragePositions(Payload):
    """How far each collection has come: the sequence of its last change."""


class CollectionPosition(Result):
    """The sequence of the last change of one collection."""

    collection: str
    sequence: EventSequence
