"""What may be kept: JSON values, their limits and their bytes.

Source: the wire contract, sections 7 and 10. The checks hold for documents and for operands
of filters alike, on every backend, so that nothing is silently rounded, cut or coerced.
"""

import re
from typing import TypeAlias, TypeGuard, Union

import orjson

JsonValue: TypeAlias = Union[bool, int, float, str, "list[JsonValue]", "dict[str, JsonValue]", None]
JsonObject: TypeAlias = dict[str, JsonValue]
RecordId: TypeAlias = int | str

MAX_DOCUMENT_BYTES = 1024 * 1024
MAX_LEVELS = 64
MAX_KEY_CHARS = 256
MAX_ID_CHARS = 255
MIN_INTEGER = -(2**63)
MAX_INTEGER = 2**63 - 1
MAX_TTL_SECONDS = 3_155_760_000
DEFAULT_COLLECTION = "tasks"
INTERNAL = "$"
"""What the names of collections begin with that are ours: their changes are no events."""

_COLLECTION = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_UNKEEPABLE = re.compile("[\x00\ud800-\udfff]")


def encode_json(value: JsonValue) -> bytes:
    """Compact UTF-8 JSON of a checked value, keys in the order given."""
    return orjson.dumps(value)


def decode_json(text: bytes) -> JsonValue:
    """The value of JSON that `encode_json` wrote."""
    value: JsonValue = orjson.loads(text)
    return value


def decode_document(text: bytes) -> JsonObject:
    """The document of JSON that `encode_json` wrote."""
    value: JsonObject = orjson.loads(text)
    return value


def is_collection(name: object) -> bool:
    """Whether this is a collection's name."""
    return isinstance(name, str) and _COLLECTION.fullmatch(name) is not None


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether this is a JSON number; Python's booleans are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def is_record_id(value: object) -> TypeGuard[RecordId]:
    """Whether this may be a record's id: 1…2^63-1, or 1–255 characters."""
    if isinstance(value, str):
        return 1 <= len(value) <= MAX_ID_CHARS and _UNKEEPABLE.search(value) is None
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_INTEGER
