"""Bytes to messages and back, strictly.

What is wrong with the text of one message refuses that message only, and the refusal still
knows whom to answer; what is wrong with the body refuses it whole.
Source: the wire contract, sections 5, 7 and 10.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import orjson
import pydantic
from pydantic import JsonValue

from .errors import ValidationError
from .ids import uuid7
from .jsonbytes import (
    canonical_json,
    compact_json,
    join_array,
    payload_digest,
    refuse_non_finite,
)
from .jsontext import NotJsonError, Parsed, find_problem, is_clean, is_proven, load, scan
from .limits import Limits
from .messages import AgentMessage, AgentResponse
from .refusals import Refusal, identifier, refuse
from .replies import Reply
from .times import format_time, utc_now
from .validation import MANY_FIELDS, describe, problem, validation_details, without_excess
from .wire import message_fields, reply_fields

__all__ = [
    "Batch",
    "Limits",
    "Refusal",
    "canonical_json",
    "compact_json",
    "decode_messages",
    "decode_responses",
    "encode_message",
    "encode_messages",
    "encode_replies",
    "payload_digest",
    "split_replies",
]

_DEFAULT_LIMITS: Final = Limits()

# `model_validate` without its Python layer, on the way that every message takes.
_to_message: Final[Callable[[Parsed], AgentMessage]] = (
    AgentMessage.__pydantic_validator__.validate_python
)
_to_response: Final[Callable[[Parsed], AgentResponse]] = (
    AgentResponse.__pydantic_validator__.validate_python
)


@dataclass(frozen=True, slots=True)
class Batch:
    """What one body held, in its order. `is_array` tells how to answer (section 5)."""

    is_array: bool
    items: list[AgentMessage | Refusal]


def decode_messages(
    body: bytes,
    *,
    limits: Limits = _DEFAULT_LIMITS,
    default_id: str | None = None,
    user_id: str | None = None,
) -> Batch:
    """The messages of one body; never raises for what a sender may have written.

    `default_id` is the AMQP `message_id`: the id of a single object without one (not in an
    array). `user_id` is the sender the broker vouches for: it wins over `sender`; empty is
    absent.
    """
    return _Decoder(limits, default_id, user_id or None).decode(body)


@dataclass(frozen=True, slots=True)
class _Decoder:
    limits: Limits
    default_id: str | None
    user_id: str | None

    def decode(self, body: bytes) -> Batch:
        if len(body) > self.limits.message_bytes:
            return self._whole("The message is over the limit of its size", "too_large")
        try:
            value, faulty = load(body)
            refused = self._shape(value)
            if refused is not None:
                return refused
            is_array = isinstance(value, list)
            levels = self.limits.levels + is_array
            suspect = faulty or not is_proven(value, body, levels)
            if suspect:
                value = scan(value, body)
                suspect = not is_clean(value, body, levels)
        except NotJsonError as error:
            return self._whole(f"The body {error}")
        if isinstance(value, list):
            return Batch(True, [self._message(item, suspect, None) for item in value])
        return Batch(False, [self._message(value, suspect, self.default_id)])

    def _shape(self, value: Parsed) -> Batch | None:
        if isinstance(value, dict):
            return None
        if not isinstance(value, list):
            return self._whole("The body is neither an object nor an array of objects")
        if not value:
            return self._whole("The body is an array without messages")
        if len(value) > self.limits.messages:
            text = f"The body holds more than {self.limits.messages} messages"
            return self._whole(text, "too_large")
        return None

    def _whole(self, text: str, error_type: str = "validation_error") -> Batch:
        refusal = refuse(
            text,
            problem((), text),
            {},
            default_id=self.default_id,
            user_id=self.user_id,
            error_type=error_type,
        )
        return Batch(False, [refusal])

    def _message(
        self, raw: Parsed, suspect: bool, default_id: str | None
    ) -> AgentMessage | Refusal:
        if not isinstance(raw, dict):
            return self._refusal({}, problem((), "must be an object"), default_id)
        if suspect:
            found = find_problem(raw, self.limits.levels)
            if found is not None:
                return self._refusal(raw, problem(found.loc, found.message), default_id)
        if default_id and raw.get("id") is None:
            if identifier(default_id) is None:
                # Another id in its place would take the protection against duplicates away.
                bad = problem(("id",), "the AMQP message_id is no id of 1 to 128 characters")
                return self._refusal(raw, bad, None)
            raw["id"] = default_id
        if self.user_id is not None and _replaceable(raw.get("sender")):
            raw["sender"] = self.user_id
        if len(raw) > MANY_FIELDS:
            raw = without_excess(raw, AgentMessage)
        try:
            return _to_message(raw)
        except pydantic.ValidationError as error:
            return self._refusal(raw, validation_details(error), default_id)

    def _refusal(
        self, raw: dict[str, Parsed], details: dict[str, JsonValue], default_id: str | None
    ) -> Refusal:
        text = describe("message", details)
        return refuse(text, details, raw, default_id=default_id, user_id=self.user_id)


def _replaceable(sender: Parsed) -> bool:
    """A sender that is wrong in itself is refused, even where another one would win."""
    return sender is None or identifier(sender) is not None


def encode_message(message: AgentMessage) -> bytes:
    """The body of a single message; absent fields are left out.

    Raises:
        ValidationError: the payload or metadata hold something that is no JSON value.
    """
    return _checked(compact_json(message_fields(message)), [message])


def encode_messages(messages: Sequence[AgentMessage]) -> bytes:
    """The body of several messages, as an array.

    Raises:
        ValidationError: a payload or metadata holds something that is no JSON value.
    """
    return _checked(compact_json([message_fields(m) for m in messages]), messages)


def encode_replies(replies: Sequence[Reply], *, as_array: bool) -> bytes:
    """The body that answers: an array, or the only reply as an object.

    Every reply gets a fresh id; all share one timestamp.
    """
    now = format_time(utc_now())
    fields = [reply_fields(reply, uuid7(), now) for reply in replies]
    return compact_json(fields if as_array else fields[0])


def split_replies(replies: Sequence[Reply], limit_bytes: int) -> list[bytes]:
    """Arrays that answer together, in order, each of at most `limit_bytes`.

    A reply that is larger by itself is an array of its own.
    """
    whole = encode_replies(replies, as_array=True)
    if len(whole) <= limit_bytes:
        return [whole]
    now = format_time(utc_now())
    bodies: list[bytes] = []
    parts: list[bytes] = []
    size = 1
    for reply in replies:
        part = compact_json(reply_fields(reply, uuid7(), now))
        if parts and size + len(part) + 1 > limit_bytes:
            bodies.append(join_array(parts))
            parts, size = [], 1
        parts.append(part)
        size += len(part) + 1
    return [*bodies, join_array(parts)]


def decode_responses(body: bytes) -> list[AgentResponse]:
    """The responses of one body, an object or an array. Unknown fields are dropped.

    Raises:
        ValidationError: the body is no response.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ValidationError("The response is not JSON") from error
    items = value if isinstance(value, list) else [value]
    return [_response(item) for item in items]


def _response(raw: Parsed) -> AgentResponse:
    try:
        return _to_response(raw)
    except pydantic.ValidationError as error:
        if isinstance(raw, dict) and not raw.keys() <= AgentResponse.model_fields.keys():
            known = {name: raw[name] for name in raw if name in AgentResponse.model_fields}
            return _response(known)
        details = validation_details(error)
        raise ValidationError(describe("response", details), details) from None


def _checked(encoded: bytes, messages: Sequence[AgentMessage]) -> bytes:
    """The encoder writes NaN and infinities as null: look for them where a null stands."""
    if b"null" in encoded:
        for message in messages:
            refuse_non_finite(message.payload, ("payload",))
            refuse_non_finite(message.metadata, ("metadata",))
    return encoded
