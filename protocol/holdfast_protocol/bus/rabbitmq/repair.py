"""Frames that any publisher can send and the driver's decoder cannot read, made readable.

A timestamp beyond the year 9999, text that is not UTF-8, or tables nested too deep make the
decoder raise. That kills the connection, and as the message stays unsettled it comes again
and kills the next one, for ever. Here what cannot be read is left out of the frame before
the decoder sees it; the body and all other properties arrive.

A repaired payload has the length of the original: the freed bytes become padding at its end,
which the decoder ignores.
"""

import struct
from collections.abc import Iterator

from pamqp import decode

FRAME_METHOD = 1
FRAME_HEADER = 2

_DELIVER = b"\x00\x3c\x00\x3c"
_FIXED = 12  # class, weight and body size, in front of a content header's flags
_HEADERS, _TIMESTAMP = 0x2000, 0x0040
# In the order of the wire (AMQP 0-9-1, class basic): flag and type of each property.
_PROPERTIES = (
    (0x8000, "shortstr"),  # content_type
    (0x4000, "shortstr"),  # content_encoding
    (_HEADERS, "table"),
    (0x1000, "octet"),  # delivery_mode
    (0x0800, "octet"),  # priority
    (0x0400, "shortstr"),  # correlation_id
    (0x0200, "shortstr"),  # reply_to
    (0x0100, "shortstr"),  # expiration
    (0x0080, "shortstr"),  # message_id
    (_TIMESTAMP, "timestamp"),
    (0x0020, "shortstr"),  # type
    (0x0010, "shortstr"),  # user_id
    (0x0008, "shortstr"),  # app_id
    (0x0004, "shortstr"),  # cluster_id
)
# Bytes of a field value by its type; of the others, a 4-byte length comes first.
_VALUE_SIZES = {
    b"t": 1, b"b": 1, b"B": 1, b"s": 2, b"u": 2, b"I": 4, b"i": 4, b"l": 8, b"L": 8,
    b"f": 4, b"d": 8, b"D": 5, b"T": 8, b"V": 0, b"\x00": 0,
}  # fmt: skip
_SIZED_VALUES = frozenset({b"S", b"x", b"A", b"F"})
# What the decoder raises for bytes it cannot read: year and number ranges, text, depth.
_UNREADABLE = (ValueError, ArithmeticError, RecursionError, LookupError, OSError, struct.error)
_ASCII_ONLY = bytes(range(128)) + b"?" * 128


def readable(frame_type: int, payload: bytes) -> bytes:
    """The payload of a frame from the broker, repaired where the decoder would raise."""
    if frame_type == FRAME_HEADER:
        return _readable_header(payload)
    if frame_type == FRAME_METHOD and payload.startswith(_DELIVER):
        return _readable_deliver(payload)
    return payload


def _readable_deliver(payload: bytes) -> bytes:
    # class and method (4), consumer tag, delivery tag (8), redelivered (1), then two texts.
    start = 4 + 1 + payload[4] + 8 + 1
    texts = payload[start:]
    if texts.isascii():
        return payload
    middle = 1 + texts[0]
    return payload[:start] + _readable_text(texts[:middle]) + _readable_text(texts[middle:])


def _readable_header(payload: bytes) -> bytes:
    flags = int.from_bytes(payload[_FIXED : _FIXED + 2], "big")
    values = payload[_FIXED + 2 :]
    # The usual message: no property but plain text, nothing that could fail.
    if not flags & (_HEADERS | _TIMESTAMP) and values.isascii():
        return payload
    kept_flags, kept = 0, []
    for flag, kind, raw in _split(flags, values):
        value = _readable_value(kind, raw)
        if value is not None:
            kept_flags |= flag
            kept.append(value)
    repaired = payload[:_FIXED] + kept_flags.to_bytes(2, "big") + b"".join(kept)
    return repaired.ljust(len(payload), b"\0")


def _split(flags: int, values: bytes) -> Iterator[tuple[int, str, bytes]]:
    """Flag, type and raw bytes of each property that is there."""
    offset = 0
    for flag, kind in _PROPERTIES:
        if not flags & flag:
            continue
        end = offset + _size(kind, values, offset)
        if end > len(values):
            return
        yield flag, kind, values[offset:end]
        offset = end


def _size(kind: str, values: bytes, offset: int) -> int:
    match kind:
        case "shortstr":
            return 1 + int.from_bytes(values[offset : offset + 1], "big")
        case "table":
            return 4 + int.from_bytes(values[offset : offset + 4], "big")
        case "timestamp":
            return 8
        case _:
            return 1


def _readable_value(kind: str, raw: bytes) -> bytes | None:
    match kind:
        case "shortstr":
            return _readable_text(raw)
        case "table":
            return _readable_table(raw)
        case "timestamp":
            return raw if _decodes(b"T" + raw) else None
        case _:
            return raw


def _readable_text(raw: bytes) -> bytes:
    """A short string; when it is not UTF-8, with `?` for each byte that is not ASCII."""
    try:
        raw[1:].decode()
    except UnicodeDecodeError:
        return raw[:1] + raw[1:].translate(_ASCII_ONLY)
    return raw


def _readable_table(raw: bytes) -> bytes:
    """A field table without the entries that cannot be decoded."""
    kept = b"".join(key + value for key, value in _entries(raw) if _decodes(value))
    return len(kept).to_bytes(4, "big") + kept


def _entries(raw: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Key and typed value of each entry, as raw bytes, as far as their types are known."""
    offset = 4
    while offset < len(raw):
        value_at = offset + 1 + raw[offset]
        kind = raw[value_at : value_at + 1]
        if kind in _SIZED_VALUES:
            size = 4 + int.from_bytes(raw[value_at + 1 : value_at + 5], "big")
        elif kind in _VALUE_SIZES:
            size = _VALUE_SIZES[kind]
        else:
            return
        end = value_at + 1 + size
        if end > len(raw):
            return
        yield _readable_text(raw[offset:value_at]), raw[value_at:end]
        offset = end


def _decodes(value: bytes) -> bool:
    try:
        decode.embedded_value(value)
    except _UNREADABLE:
        return False
    return True
