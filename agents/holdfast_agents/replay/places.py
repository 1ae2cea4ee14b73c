"""Where a line stands in the histories of collections, as its key `order` says.

`"order": {"tasks": [17, 1]}`: the answer is change 17 of `tasks`; with 0 it was given when 17 was
the last change.
"""

from collections.abc import Mapping
from typing import Final

from pydantic import JsonValue

from holdfast_protocol.actions import ACTIONS

from .reading import LogEntry

CHANGE: Final = 0
FIRST_TOLD: Final = 1
"""The stored answer to a change that no line tells itself: it stands for that change."""
AT_REST: Final = 2
"""Answered while nothing changed."""
REPEATED: Final = 3
"""Answered from what was stored: at any time after the first."""
RANK_BITS: Final = 2
"""What orders the lines of one collection is one number, the rank below the sequence."""

_ANONYMOUS: Final = "anonymous"
_NO_PLACES: Final[Mapping[str, tuple[int, int]]] = {}


def places_of(entry: LogEntry) -> Mapping[str, tuple[int, int]]:
    """Sequence and rank by collection; none where the line says nothing, or nothing sound."""
    order = entry.exchange.extra.get("order")
    return _sound(order) if order else _told_in_answer(entry)


def _sound(order: JsonValue) -> Mapping[str, tuple[int, int]]:
    if not isinstance(order, dict):
        return _NO_PLACES
    found: dict[str, tuple[int, int]] = {}
    for collection, place in order.items():
        if not (isinstance(place, list) and len(place) == 2):
            return _NO_PLACES
        sequence, is_change = place
        # By type: a boolean is an int to isinstance.
        if type(sequence) is not int or type(is_change) is not int:
            return _NO_PLACES
        if sequence < 0 or not 0 <= is_change <= 1:
            return _NO_PLACES
        found[collection] = (sequence, CHANGE if is_change else AT_REST)
    return found


def _told_in_answer(entry: LogEntry) -> Mapping[str, tuple[int, int]]:
    """Answers from the outbox say in themselves how far the collections were."""
    message, response = entry.exchange.message, entry.exchange.response
    if message.action == "storage_events":
        collection = message.payload.get("collection", "tasks")
        last = response.meta.get("last_sequence")
        if isinstance(collection, str) and type(last) is int:
            return {collection: (last, AT_REST)}
    elif message.action == "storage_positions" and isinstance(response.result, list):
        return {
            name: (last, AT_REST)
            for name, last in map(_named_position, response.result)
            if isinstance(name, str) and type(last) is int
        }
    return _NO_PLACES


def _named_position(position: JsonValue) -> tuple[JsonValue, JsonValue]:
    if not isinstance(position, dict):
        return None, None
    return position.get("collection"), position.get("sequence")


def says_replayed(entry: LogEntry) -> bool:
    """Whether the answer was one that had been stored."""
    return entry.exchange.response.meta.get("replayed") is True


def identity_of(entry: LogEntry) -> int | None:
    """A hash of the message's identity; None where it has none, as reads do not."""
    message = entry.exchange.message
    spec = ACTIONS.get(message.action)
    if spec is not None and not spec.writes and not says_replayed(entry):
        return None
    return hash((entry.exchange.agent, message.sender or _ANONYMOUS, message.id))
