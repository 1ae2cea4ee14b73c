"""Where a subscription begins, and how far the collections have come.

Answers that are not what the contract promises raise InternalError.
"""

from collections.abc import Mapping

from holdfast_protocol.actions import CollectionPosition
from holdfast_protocol.client.answers import listed, parsed, unexpected
from holdfast_protocol.errors import ValidationError
from holdfast_protocol.events import ChangeEvent, read_events
from holdfast_protocol.limits import MAX_INTEGER
from holdfast_protocol.messages import AgentResponse
from holdfast_protocol.validation import problem


def start_of(collection: str | None, after: int | Mapping[str, int] | None) -> dict[str, int]:
    """Where to begin, by collection. Raises ValidationError for what says nothing of the kind."""
    if after is None:
        return {}
    if isinstance(after, Mapping):
        start = dict(after)
        if collection is not None:
            start = {collection: start.get(collection, 0)}
    elif collection is not None:
        start = {collection: after}
    else:
        raise _bad_after("must be a mapping from collections, as the pattern names none")
    for sequence in start.values():
        if type(sequence) is not int or not 0 <= sequence <= MAX_INTEGER:
            raise _bad_after("must be a sequence from 0")
    return start


def _bad_after(rule: str) -> ValidationError:
    return ValidationError(f"Invalid subscription: after {rule}", problem(("after",), rule))


def positions_of(response: AgentResponse) -> list[CollectionPosition]:
    """How far each collection has come, as an agent answered."""
    return [parsed(CollectionPosition, item) for item in listed(response.result)]


def events_of(response: AgentResponse) -> list[ChangeEvent]:
    """A page of events, as an agent answered."""
    try:
        return read_events(response.result)
    except ValidationError as error:
        raise unexpected("list of events") from error


def last_sequence_of(response: AgentResponse) -> int:
    """How far the collection had come when the page was read."""
    value = response.meta.get("last_sequence")
    if type(value) is not int:
        raise unexpected("last_sequence")
    return value
