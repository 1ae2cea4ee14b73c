"""The frames of AMQP 0-9-1 in a stream of bytes, and what of them a proxy has to know."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

METHOD: Final = 1
HEADER: Final = 2
BODY: Final = 3

PUBLISH: Final = b"\x00\x3c\x00\x28"
RETURN: Final = b"\x00\x3c\x00\x32"
DELIVER: Final = b"\x00\x3c\x00\x3c"
GET_OK: Final = b"\x00\x3c\x00\x47"
ACK: Final = b"\x00\x3c\x00\x50"
NACK: Final = b"\x00\x3c\x00\x78"
CONFIRM_SELECT: Final = b"\x00\x55\x00\x0a"
CHANNEL_OPEN: Final = b"\x00\x14\x00\x0a"

_WITH_CONTENT = frozenset({PUBLISH, RETURN, DELIVER, GET_OK})
_HEAD = struct.Struct(">BHI")
_GREETING = b"AMQP"
_GREETING_SIZE = 8
_LARGEST = 16 * 1024 * 1024


class NotAmqpError(Exception):
    """What flows is no AMQP 0-9-1."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame, or the greeting that a client begins with (of type 0).

    Args:
        raw: all its bytes.
    """

    type: int
    channel: int
    raw: bytes

    @property
    def payload(self) -> bytes:
        return self.raw[_HEAD.size : -1]

    @property
    def method(self) -> bytes:
        """Class and method id of a method; b"" for other frames."""
        return self.raw[_HEAD.size : _HEAD.size + 4] if self.type == METHOD else b""


class Frames:
    """Cuts a stream into frames; holds back at most one that is not complete."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> Iterator[Frame]:
        """The frames that are complete now. Raises NotAmqpError."""
        data = self._rest + chunk
        start = 0
        while (end := _end(data, start)) is not None:
            yield _frame(data[start:end])
            start = end
        self._rest = data[start:]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a frame stands in its unit: a method, with its content when it has one.

    Args:
        method: class and method id of the unit.
    """

    method: bytes
    first: bool
    last: bool


_ALONE: Final = Place(b"", first=True, last=True)


class Units:
    """Knows of each channel which unit is under way."""

    def __init__(self) -> None:
        self._under_way: dict[int, tuple[bytes, int | None]] = {}  # method, bytes to come

    def place(self, frame: Frame) -> Place:
        """Where the next frame stands."""
        if frame.type == METHOD:
            has_content = frame.method in _WITH_CONTENT
            if has_content:
                self._under_way[frame.channel] = (frame.method, None)
            return Place(frame.method, first=True, last=not has_content)
        if frame.type not in (HEADER, BODY) or frame.channel not in self._under_way:
            return _ALONE
        method, left = self._under_way[frame.channel]
        if frame.type == HEADER:
            left = int.from_bytes(frame.payload[4:12], "big")
        else:
            left = (left or 0) - len(frame.payload)
        if left > 0:
            self._under_way[frame.channel] = (method, left)
        else:
            del self._under_way[frame.channel]
        return Place(method, first=False, last=left <= 0)


def confirmed(frame: Frame) -> tuple[int, bool]:
    """Of an ack or nack: its tag, and whether it means all up to there."""
    payload = frame.payload
    return int.from_bytes(payload[4:12], "big"), bool(payload[12] & 1)


def confirming(frame: Frame, tag: int, *, multiple: bool) -> Frame:
    """An ack or nack like this one, of another tag."""
    payload = frame.payload
    flags = payload[12] & ~1 | multiple
    changed = payload[:4] + tag.to_bytes(8, "big") + bytes([flags])
    raw = _HEAD.pack(METHOD, frame.channel, len(changed)) + changed + b"\xce"
    return Frame(METHOD, frame.channel, raw)


def route(frame: Frame) -> bytes:
    """Of a publish: exchange and routing key as they stand there."""
    return frame.payload[6:-1]


def _end(data: bytes, start: int) -> int | None:
    if data.startswith(_GREETING, start):
        end = start + _GREETING_SIZE
        return end if len(data) >= end else None
    if len(data) - start < _HEAD.size:
        return None
    size = int.from_bytes(data[start + 3 : start + _HEAD.size], "big")
    if size > _LARGEST:
        raise NotAmqpError(f"a frame of {size} bytes")
    end = start + _HEAD.size + size + 1
    if len(data) < end:
        return None
    if data[end - 1] != 0xCE:
        raise NotAmqpError("a frame that does not end as frames do")
    return end


def _frame(raw: bytes) -> Frame:
    if raw.startswith(_GREETING):
        return Frame(0, 0, raw)
    kind, channel, _ = _HEAD.unpack_from(raw)
    return Frame(kind, channel, raw)
