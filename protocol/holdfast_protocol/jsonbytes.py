"""JSON values to bytes: compact, canonical, and with already encoded parts spliced in."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from math import isfinite
from typing import Final

import orjson
from pydantic import JsonValue

from .errors import ValidationError

# What orjson would otherwise turn into text by itself is no JSON value of ours.
STRICT: Final = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME
_CANONICAL: Final = STRICT | orjson.OPT_SORT_KEYS


@dataclass(frozen=True, slots=True)
class RawJson:
    """An already encoded JSON value (UTF-8), spliced into a response without decoding.

    The bytes are trusted: they must be one valid JSON value.
    """

    data: bytes


def _splice(value: object) -> orjson.Fragment:
    if isinstance(value, RawJson):
        return orjson.Fragment(value.data)
    raise TypeError(f"{type(value).__name__} is no JSON value")


def compact_json(value: object) -> bytes:
    """Compact UTF-8 JSON; `RawJson` anywhere inside is spliced.

    Raises:
        ValidationError: something inside is no JSON value, or beyond 64 bits.
    """
    try:
        return orjson.dumps(value, _splice, STRICT)
    except orjson.JSONEncodeError as error:
        raise ValidationError("The value cannot be written as JSON") from error


def canonical_json(value: JsonValue) -> bytes:
    """The one text of a value whatever its key order: compact, keys sorted.

    `1` and `1.0`, and `-0.0` and `0.0`, have different texts (wire contract, section 10).

    Raises:
        ValidationError: something inside is no JSON value, or beyond 64 bits.
    """
    try:
        return orjson.dumps(value, None, _CANONICAL)
    except orjson.JSONEncodeError as error:
        raise ValidationError("The value cannot be written as JSON") from error


def payload_digest(action: str, payload: JsonValue) -> bytes:
    """16 bytes that two messages share exactly when they ask for the same."""
    return blake2b(action.encode() + b"\0" + canonical_json(payload), digest_size=16).digest()


def join_array(parts: Sequence[bytes]) -> bytes:
    """A JSON array of already encoded elements."""
    return b"[" + b",".join(parts) + b"]"


def refuse_non_finite(value: object, loc: tuple[str | int, ...]) -> None:
    """Nothing when every float inside is finite.

    Raises:
        ValidationError: `details.errors[0].loc` names the first one that is not.
    """
    if isinstance(value, float) and not isfinite(value):
        details: dict[str, JsonValue] = {"errors": [{"loc": [*loc], "msg": "must be finite"}]}
        raise ValidationError("NaN and infinities are no JSON values", details)
    if isinstance(value, dict):
        for key, inner in value.items():
            refuse_non_finite(inner, (*loc, key))
    elif isinstance(value, (list, tuple)):
        for index, inner in enumerate(value):
            refuse_non_finite(inner, (*loc, index))
