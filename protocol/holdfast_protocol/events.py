"""Change events: as they are published, read, and asked for by pattern.

Source: the wire contract, section 9.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Final, Literal, NamedTuple, TypeAlias, get_args

import orjson
import pydantic
from pydantic import Field, Strict, TypeAdapter

from .errors import TooLargeError, ValidationError
from .fields import CollectionName, Explained, FirstFault, JsonObject, RecordId, Text, Time
from .jsonbytes import STRICT
from .limits import MAX_INTEGER
from .times import format_micros
from .validation import describe, problem, validation_details

EventKind: TypeAlias = Literal["created", "updated", "deleted"]
EVENT_KINDS: Final[frozenset[str]] = frozenset(get_args(EventKind))

MAX_EVENTS_BYTES: Final = 2 * 1024 * 1024
"""A body that is longer was published by nobody who keeps the contract: a batch ends at about
256 KiB, and one event is hardly longer than its document (1 MiB)."""

_Kind = Annotated[EventKind, Explained('must be "created", "updated" or "deleted"')]
_Number = Annotated[int, Strict(), Field(ge=1, le=MAX_INTEGER)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeEvent:
    """One change of one record.

    `id` is the same whenever the event comes again. `sequence` rises within the collection.
    `message_id` and `sender` are those of the message that caused it, None for the store
    itself (an expiry). `document` is the state after the change, before it for `deleted`.
    """

    id: Text
    collection: CollectionName
    kind: _Kind
    record_id: RecordId
    version: _Number
    sequence: _Number
    message_id: Text | None = None
    sender: Text | None = None
    timestamp: Time
    document: JsonObject


# `fail_fast`: an array of a million faults must not become a million errors.
_read: Final[Callable[[object], list[ChangeEvent]]] = TypeAdapter(
    Annotated[list[ChangeEvent], FirstFault()]
).validator.validate_python


def decode_events(body: bytes) -> list[ChangeEvent]:
    """The events of one body, an object or an array. Unknown fields are dropped.

    Raises:
        TooLargeError: the body is over `MAX_EVENTS_BYTES`; it was not looked at, as reading it
            would stop the event loop and take many times its size.
        ValidationError: the body is no JSON, or a field that an event needs is missing or
            wrong.
    """
    if len(body) > MAX_EVENTS_BYTES:
        raise TooLargeError(
            f"A body of {len(body)} bytes is no batch of events: it is over {MAX_EVENTS_BYTES}"
        )
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ValidationError("The event is not JSON") from error
    return read_events(value if isinstance(value, list) else [value])


def read_events(value: object) -> list[ChangeEvent]:
    """The events of an array that was decoded already. Raises ValidationError."""
    try:
        return _read(value)
    except pydantic.ValidationError as error:
        details = validation_details(error)
        raise ValidationError(describe("event", details), details) from None


def encode_event(
    collection: str,
    kind: str,
    record_id: int | str,
    version: int,
    sequence: int,
    message_id: str | None,
    sender: str | None,
    micros: int,
    document: bytes,
) -> bytes:
    """The body of one event. `micros` are microseconds since 1970, `document` its JSON.

    The document's bytes are trusted and spliced. Several events make an array by
    `jsonbytes.join_array`.
    """
    return orjson.dumps(
        {
            "id": f"{collection}/{sequence}",
            "collection": collection,
            "kind": kind,
            "record_id": record_id,
            "version": version,
            "sequence": sequence,
            "message_id": message_id,
            "sender": sender,
            "timestamp": format_micros(micros),
            "document": orjson.Fragment(document),
        },
        None,
        STRICT,
    )


class EventPattern(NamedTuple):
    """Which events somebody wants; None stands for any collection, or any kind."""

    collection: str | None
    kind: str | None

    def matches(self, event: ChangeEvent) -> bool:
        """Whether the event is wanted."""
        return self.collection in (None, event.collection) and self.kind in (None, event.kind)


def parse_event_pattern(text: str) -> EventPattern:
    """The meaning of `<collection>.<kind>`: `*` stands for any of either, `tasks.#` for
    `tasks.*`, and `#` for everything.

    Raises:
        ValidationError: the text is no such pattern.
    """
    if text == "#":
        return EventPattern(None, None)
    collection, dot, kind = text.partition(".")
    known_kind = kind in EVENT_KINDS or kind in ("*", "#")
    if not dot or not known_kind or not (collection == "*" or _is_collection(collection)):
        rule = (
            "must be <collection>.<created|updated|deleted> with * for either, <collection>.# or #"
        )
        raise ValidationError(f"Invalid pattern of events: {rule}", problem(("pattern",), rule))
    return EventPattern(
        None if collection == "*" else collection, kind if kind in EVENT_KINDS else None
    )


def is_event_pattern(text: str) -> bool:
    """Whether `parse_event_pattern` would take the text."""
    try:
        parse_event_pattern(text)
    except ValidationError:
        return False
    return True


_collection_name: Final[TypeAdapter[str]] = TypeAdapter(CollectionName)


def _is_collection(text: str) -> bool:
    try:
        _collection_name.validate_python(text)
    except pydantic.ValidationError:
        return False
    return True
