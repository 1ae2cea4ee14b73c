"""Publications as the bytes of their frames, packed by hand: the driver's encoder takes ten
times as long, which counts where every change of a store is announced."""

import struct
from functools import lru_cache

_METHOD, _HEADER, _BODY = 1, 2, 3
_END = b"\xce"
_HEAD = struct.Struct(">BHI")
_PUBLISH = struct.pack(">HHH", 60, 40, 0)
_MANDATORY = b"\x01"
_CONTENT = struct.Struct(">HHQHB")
_DELIVERY_MODE, _MESSAGE_ID = 0x1000, 0x0080
_PERSISTENT = 2
_RETURN_FIXED = 4 + 2  # class, method and reply code, in front of the texts

ACK = b"\x00\x3c\x00\x50"
NACK = b"\x00\x3c\x00\x78"
RETURN = b"\x00\x3c\x00\x32"


@lru_cache(maxsize=4096)
def route_bytes(exchange: str, routing_key: str) -> bytes:
    """Exchange and routing key as a publication names them, and a return of it too."""
    return _short(exchange) + _short(routing_key)


def publication_frames(
    channel: int, route: bytes, body: bytes, message_id: str | None, max_body: int
) -> list[bytes]:
    """The frames of a mandatory, persistent publication.

    `max_body` is how many bytes of the body a frame of this connection can hold.
    """
    method = _PUBLISH + route + _MANDATORY
    flags = _DELIVERY_MODE if message_id is None else _DELIVERY_MODE | _MESSAGE_ID
    header = _CONTENT.pack(60, 0, len(body), flags, _PERSISTENT)
    if message_id is not None:
        header += _short(message_id)
    frames = [_HEAD.pack(_METHOD, channel, len(method)), method, _END]
    frames += (_HEAD.pack(_HEADER, channel, len(header)), header, _END)
    for start in range(0, len(body), max_body):
        part = body[start : start + max_body]
        frames += (_HEAD.pack(_BODY, channel, len(part)), part, _END)
    return frames


def confirmed_tag(payload: bytes) -> tuple[int, bool]:
    """Delivery tag of an ack or nack, and whether it means all up to there."""
    return int.from_bytes(payload[4:12], "big"), bool(payload[12] & 1)


def returned_route(payload: bytes) -> bytes:
    """Of a return, what `route_bytes` gave for its publication."""
    return payload[_RETURN_FIXED + 1 + payload[_RETURN_FIXED] :]


def _short(text: str) -> bytes:
    encoded = text.encode()
    return bytes([len(encoded)]) + encoded
