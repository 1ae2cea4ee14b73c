"""The headers of a dead letter: why, where and when a message was given up.

Source: the wire contract, section 1.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from holdfast_protocol.bus.checks import fits_short_string
from holdfast_protocol.bus.messages import DeadLetter, Delivery
from holdfast_protocol.times import format_time, utc_now

REASON = "x-holdfast-reason"
ERROR = "x-holdfast-error"
AGENT = "x-holdfast-agent"
AT = "x-holdfast-at"
ROUTING_KEY = "x-holdfast-routing-key"
ATTEMPTS = "x-holdfast-attempts"

MAX_TAKEN_BYTES = 16 * 1024 * 1024
"""Bytes of bodies after which a walk takes no more at once."""

_MAX_ERROR_CHARACTERS = 1_000
_MAX_WORD_CHARACTERS = 255
_MAX_CARRIED_BYTES = 16 * 1024
_MAX_ATTEMPTS = 1_000_000_000
_FORGEABLE = ("x-holdfast-", "x-death", "x-first-death-", "x-last-death-")
# CC and BCC would make the broker route copies; the rest is the broker's own.
_RESERVED = frozenset({"cc", "bcc", "x-delivery-count", "x-delay"})


@dataclass(frozen=True, slots=True)
class Death:
    """What the broker says of a message that it gave up itself."""

    reason: str
    agent: str
    at: datetime | None


def dead_letter_headers(
    delivery: Delivery, *, reason: str, error: str, agent: str
) -> dict[str, str]:
    """The delivery's own harmless headers and ours; error is cut to 1,000 characters.

    The sender's headers are carried up to 16 KiB together: a header frame that outgrows the
    connection's frame size would close the connection.
    """
    return _carried(delivery.headers) | {
        REASON: _clean(reason, _MAX_WORD_CHARACTERS),
        ERROR: _clean(error, _MAX_ERROR_CHARACTERS),
        AGENT: _clean(agent, _MAX_WORD_CHARACTERS),
        AT: format_time(utc_now()),
        ROUTING_KEY: _clean(delivery.routing_key, _MAX_WORD_CHARACTERS),
        ATTEMPTS: str(delivery.attempts),
    }


def resent_headers(letter: DeadLetter) -> dict[str, str]:
    """The message's own harmless headers, and how often it was delivered up to now."""
    return _carried(letter.headers) | {ATTEMPTS: str(letter.attempts)}


def attempts_before(headers: Mapping[str, object]) -> int:
    """The count that a message sent again carries; 0 where there is none to be read."""
    try:
        return max(0, min(int(str(headers.get(ATTEMPTS, 0))), _MAX_ATTEMPTS))
    except ValueError:
        return 0


def check_limit(limit: int) -> int:
    """The limit itself. Raises ValueError below 1."""
    if limit < 1:
        raise ValueError(f"limit must be 1 or more, not {limit}")
    return limit


def dead_letter_from(
    *,
    body: bytes,
    routing_key: str,
    message_id: str | None,
    reply_to: str | None,
    correlation_id: str | None,
    headers: Mapping[str, str],
    death: Death | None,
    tag: object,
) -> DeadLetter:
    """The letter, from our headers or, where the broker gave the message up, from `death`.

    Never raises, whatever the headers hold.
    """
    if death is None:
        attempts = attempts_before(headers)
        death = Death(headers.get(REASON, ""), headers.get(AGENT, ""), _time(headers.get(AT)))
        error = headers.get(ERROR, "")
    else:
        # The count in the headers is that of the deliveries before it was sent again.
        attempts = attempts_before(headers) + 1
        error = ""
    return DeadLetter(
        id=message_id or _digest(body, routing_key, death.at),
        body=body,
        routing_key=routing_key or _routing_key(headers),
        reason=death.reason,
        error=error,
        agent=death.agent,
        at=death.at,
        attempts=max(1, attempts),
        reply_to=reply_to,
        correlation_id=correlation_id,
        headers=headers,
        tag=tag,
    )


def _routing_key(headers: Mapping[str, str]) -> str:
    """The one in our header, which is anybody's to write; "", which nobody is bound for, where
    no message could have it."""
    told = headers.get(ROUTING_KEY, "")
    return told if fits_short_string(told) else ""


def _digest(body: bytes, routing_key: str, at: datetime | None) -> str:
    digest = hashlib.sha256(body)
    digest.update(f"\0{routing_key}\0{at.isoformat() if at else ''}".encode(errors="replace"))
    return digest.hexdigest()[:32]


def _time(text: str | None) -> datetime | None:
    try:
        at = datetime.fromisoformat(text or "")
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _carried(headers: Mapping[str, str]) -> dict[str, str]:
    carried: dict[str, str] = {}
    room = _MAX_CARRIED_BYTES
    for name, value in headers.items():
        if _is_reserved(name):
            continue
        room -= len(name.encode(errors="replace")) + len(value.encode(errors="replace"))
        if room < 0:
            break
        carried[name] = value
    return carried


def _is_reserved(name: str) -> bool:
    lowered = name.lower()
    return lowered in _RESERVED or lowered.startswith(_FORGEABLE)


def _clean(text: str, limit: int) -> str:
    return text[:limit].encode(errors="replace").decode()
