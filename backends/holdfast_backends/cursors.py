"""Cursors: opaque places in an order, tied to the query they belong to.

A cursor is a position (bytes in the order of the query) behind a checksum over the position and
the query's fingerprint. An altered cursor, or one of another query, does not check. The checksum
is no secret: a position forges nothing that the same query could not have read.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from hashlib import blake2b

from .errors import InvalidValueError

_CHECK_BYTES = 12


def _checksum(fingerprint: bytes, position: bytes) -> bytes:
    return blake2b(position, digest_size=_CHECK_BYTES, key=fingerprint).digest()


def write_cursor(fingerprint: bytes, position: bytes) -> str:
    """The cursor of a position. `fingerprint` is at most 64 bytes."""
    raw = _checksum(fingerprint, position) + position
    return urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def read_cursor(fingerprint: bytes, cursor: object) -> bytes:
    """The position of a cursor.

    Raises:
        InvalidValueError: it was altered, or belongs to another query.
    """
    refusal = InvalidValueError("this cursor was altered or belongs to another query", ("cursor",))
    if not isinstance(cursor, str) or not cursor.isascii():
        raise refusal
    padded = cursor + "=" * (-len(cursor) % 4)
    try:
        raw = urlsafe_b64decode(padded)
    except (NotBase64, ValueError) as error:
        raise refusal from error
    check, position = raw[:_CHECK_BYTES], raw[_CHECK_BYTES:]
    # Decoding is lenient; only the very text that was written is accepted.
    if check != _checksum(fingerprint, position) or write_cursor(fingerprint, position) != cursor:
        raise refusal
    return position
