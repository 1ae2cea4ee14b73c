"""Keys and values as bytes whose memcmp order is the contract's order.

A record's key orders as its id does (integers before strings). A sort value orders as the wire
contract's section 7 says: missing and null, booleans, numbers by value, strings by code point,
arrays, objects. Every database compares bytes alike, so order, ranges and cursors need no
collation and no SQL type. The encodings are prefix-free, so they can be concatenated, and
inverted for a descending order.

The idea is the tuple layer of FoundationDB; the format is our own.
"""

import struct

from .paths import Missing
from .values import MAX_ID_CHARS, JsonValue, RecordId

_INTEGER_ID = b"\x01"
_STRING_ID = b"\x02"
_END = b"\x00"  # below every byte of a string without NUL: a prefix sorts first
_CUT = b"\x01"  # stands for _END where an index kept only the beginning

NULL_CLASS = b"\x00"
BOOLEAN_CLASS = b"\x01"
NUMBER_CLASS = b"\x02"
STRING_CLASS = b"\x03"
ARRAY_CLASS = b"\x04"
OBJECT_CLASS = b"\x05"

MAX_INDEXED_BYTES = 512
"""How many bytes of a string an index keeps; below PostgreSQL's limit of a b-tree row."""

_FIXED_SIZES = {
    NULL_CLASS: 1,
    BOOLEAN_CLASS: 2,
    NUMBER_CLASS: 11,
    ARRAY_CLASS: 1,
    OBJECT_CLASS: 1,
}

_pack_integer = struct.Struct(">BQ").pack
_unpack_integer = struct.Struct(">Q").unpack
_pack_double = struct.Struct(">d").pack
_pack_offset = struct.Struct(">H").pack
_INVERT = bytes(255 - byte for byte in range(256))


def integer_key(number: int) -> bytes:
    """The key of an integer id: 9 bytes."""
    return _pack_integer(1, number)


def record_key(record_id: RecordId) -> bytes:
    """The key of an id."""
    if isinstance(record_id, int):
        return _pack_integer(1, record_id)
    return _STRING_ID + record_id.encode() + _END


def record_id(key: bytes) -> RecordId:
    """The id of a key."""
    if key[:1] == _INTEGER_ID:
        number: int = _unpack_integer(key[1:])[0]
        return number
    return key[1:-1].decode()


def is_record_key(key: bytes) -> bool:
    """Whether these bytes are the key of an id."""
    if key[:1] == _INTEGER_ID:
        return len(key) == 9 and 0 < int.from_bytes(key[1:]) < 2**63
    if key[:1] != _STRING_ID or key[-1:] != _END or _END in key[1:-1]:
        return False
    try:
        return 1 <= len(key[1:-1].decode()) <= MAX_ID_CHARS
    except UnicodeDecodeError:
        return False


def _number_bytes(value: int | float) -> bytes:
    # The nearest double first, then how far an integer lies from it: exact for all 64 bits.
    nearest = float(value)
    offset = value - int(nearest) if isinstance(value, int) else 0
    raw = _pack_double(nearest + 0.0)  # -0.0 + 0.0 is 0.0
    ordered = raw.translate(_INVERT) if raw[0] & 0x80 else bytes((raw[0] | 0x80,)) + raw[1:]
    return ordered + _pack_offset(offset + 0x8000)


def sort_value(value: JsonValue | Missing) -> bytes:
    """The bytes that a value sorts by; all arrays are alike, and all objects."""
    if isinstance(value, str):
        return STRING_CLASS + value.encode() + _END
    if isinstance(value, bool):
        return BOOLEAN_CLASS + (b"\x01" if value else b"\x00")
    if isinstance(value, (int, float)):
        return NUMBER_CLASS + _number_bytes(value)
    if isinstance(value, list):
        return ARRAY_CLASS
    if isinstance(value, dict):
        return OBJECT_CLASS
    return NULL_CLASS


def index_value(value: JsonValue | Missing) -> bytes:
    """The bytes that an index keeps of a value: `sort_value`, cut where it is long."""
    return cut(sort_value(value))


def cut(encoded: bytes) -> bytes:
    """What an index keeps of a sort value."""
    if len(encoded) <= MAX_INDEXED_BYTES:
        return encoded
    return encoded[: MAX_INDEXED_BYTES - 1] + _CUT


def is_cut(indexed: bytes) -> bool:
    """Whether an index kept only the beginning, so that equals need not be equal."""
    return len(indexed) == MAX_INDEXED_BYTES and indexed[-1:] == _CUT


def split_sort_value(encoded: bytes) -> tuple[bytes, bytes]:
    """A sort value (not cut), and what stands behind it.

    Raises:
        ValueError: these bytes do not begin with a sort value.
    """
    size = _FIXED_SIZES.get(encoded[:1]) or encoded.find(_END, 1) + 1
    if not 0 < size <= len(encoded):
        raise ValueError("no sort value")
    return encoded[:size], encoded[size:]


def inverted(encoded: bytes) -> bytes:
    """The bytes that order the other way round."""
    return encoded.translate(_INVERT)
