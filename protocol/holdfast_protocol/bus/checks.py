"""What a broker would choke on is refused before it is sent, on every bus alike.

The limits are AMQP's: a short string (routing key, reply address, correlation id) holds 255
bytes, an expiration is a 32-bit number of milliseconds.
"""

import math
import re
import secrets
from collections.abc import Sequence
from datetime import datetime

from holdfast_protocol.bus.messages import Announcement, Publication
from holdfast_protocol.errors import TooLargeError, ValidationError

SHORT_STRING_BYTES = 255
MAX_BODY_BYTES = 128 * 1024 * 1024
"""RabbitMQ's own default limit; a larger body would close the channel for everybody on it."""
MAX_PREFETCH = 65_535

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]")
_MAX_EXPIRATION_MS = 2**32 - 1


def check_namespace(namespace: str) -> str:
    """The namespace itself. Raises ValueError when it is no name."""
    return _check_name("namespace", namespace)


def check_agent(agent: str) -> str:
    """The agent's name itself. Raises ValueError when it is no name."""
    return _check_name("agent name", agent)


def check_prefetch(prefetch: int) -> int:
    """The prefetch itself. Raises ValueError outside 1…65,535."""
    if not 1 <= prefetch <= MAX_PREFETCH:
        raise ValueError(f"prefetch must be within 1 and {MAX_PREFETCH}, not {prefetch}")
    return prefetch


def check_max_bytes(max_bytes: int) -> int:
    """The bound itself. Raises ValueError below 1."""
    if max_bytes < 1:
        raise ValueError(f"max_bytes must be 1 or more, not {max_bytes}")
    return max_bytes


def check_since(since: datetime | None) -> datetime | None:
    """The time itself. Raises ValueError when it has no time zone."""
    if since is not None and since.tzinfo is None:
        raise ValueError("since must have a time zone")
    return since


def check_announcements(announcements: Sequence[Announcement]) -> None:
    """Raises ValidationError or TooLargeError for what AMQP cannot carry."""
    for announcement in announcements:
        check_short_string("routing_key", announcement.routing_key)
        if announcement.message_id is not None:
            check_short_string("message_id", announcement.message_id)
        check_body(announcement.body)


def check_chunk(body: bytes) -> None:
    """Raises ValidationError for an empty chunk, TooLargeError for one that is too large."""
    if not body:
        raise ValidationError("A chunk of the journal cannot be empty")
    check_body(body)


def check_publication(publication: Publication) -> None:
    """Raises ValidationError or TooLargeError for what AMQP cannot carry."""
    check_short_string("routing_key", publication.routing_key)
    if publication.correlation_id is not None:
        check_short_string("correlation_id", publication.correlation_id)
    if publication.reply_to is not None:
        check_short_string("reply_to", publication.reply_to)
    check_body(publication.body)


def check_body(body: bytes) -> None:
    """Raises TooLargeError for a body that the broker would refuse."""
    if len(body) > MAX_BODY_BYTES:
        raise TooLargeError(f"The body has {len(body)} bytes; the broker takes {MAX_BODY_BYTES}")


def check_short_string(name: str, value: str) -> None:
    """Raises ValidationError when `value` is no AMQP short string."""
    if value.isascii() and len(value) <= SHORT_STRING_BYTES:
        return
    if not fits_short_string(value):
        raise ValidationError(f"{name} is not text of at most {SHORT_STRING_BYTES} UTF-8 bytes")


def fits_short_string(value: str) -> bool:
    """Whether `value` is UTF-8 text of at most 255 bytes."""
    try:
        return len(value.encode()) <= SHORT_STRING_BYTES
    except UnicodeEncodeError:
        return False


def expiration_ms(seconds: float) -> int:
    """Whole milliseconds, 1 at least: 0 would mean to a broker "expired at once".

    Raises ValidationError for what is no number.
    """
    if math.isnan(seconds):
        raise ValidationError("expiration_seconds is not a number")
    return int(max(1.0, min(math.ceil(min(seconds, 2.0**32) * 1000), _MAX_EXPIRATION_MS)))


def reply_queue_name(namespace: str, sender: str) -> str:
    """A fresh `<namespace>.reply.<sender>.<random>`.

    Characters of the sender that would mean something in a broker's names become `_`; after
    64 characters it is cut.
    """
    return f"{namespace}.reply.{_UNSAFE.sub('_', sender)[:64]}.{secrets.token_hex(12)}"


def _check_name(what: str, name: str) -> str:
    if _NAME.fullmatch(name) is None:
        raise ValueError(f"{what} must match ^{_NAME.pattern}$, not {name!r}")
    return name
