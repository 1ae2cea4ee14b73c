"""The headers of a dead letter: why, where and when a message was given up.

Source: the wire contract, section 1.
"""

from datetime import UTC, datetime

from holdfast_protocol.bus.contract import Delivery

REASON = "x-holdfast-reason"
ERROR = "x-holdfast-error"
AGENT = "x-holdfast-agent"
AT = "x-holdfast-at"
ROUTING_KEY = "x-holdfast-routing-key"

_MAX_ERROR_CHARACTERS = 1_000
_MAX_WORD_CHARACTERS = 255
_MAX_CARRIED_BYTES = 16 * 1024
_FORGEABLE = ("x-holdfast-", "x-death", "x-first-death-", "x-last-death-")
# CC and BCC would make the broker route copies; the rest is the broker's own.
_RESERVED = frozenset({"cc", "bcc", "x-delivery-count", "x-delay"})


def dead_letter_headers(
    delivery: Delivery, *, reason: str, error: str, agent: str
) -> dict[str, str]:
    """The delivery's own harmless headers and ours; error is cut to 1,000 characters.

    The sender's headers are carried up to 16 KiB together: a header frame that outgrows the
    connection's frame size would close the connection.
    """
    return _carried(delivery) | {
        REASON: _clean(reason, _MAX_WORD_CHARACTERS),
        ERROR: _clean(error, _MAX_ERROR_CHARACTERS),
        AGENT: _clean(agent, _MAX_WORD_CHARACTERS),
        AT: datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        ROUTING_KEY: _clean(delivery.routing_key, _MAX_WORD_CHARACTERS),
    }


def _carried(delivery: Delivery) -> dict[str, str]:
    carried: dict[str, str] = {}
    room = _MAX_CARRIED_BYTES
    for name, value in delivery.headers.items():
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
