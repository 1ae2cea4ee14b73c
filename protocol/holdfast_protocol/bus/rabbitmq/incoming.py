"""From the driver's message to ours, whatever a sender has put into it."""

from collections.abc import Mapping

from aiormq.abc import DeliveredMessage

from holdfast_protocol.bus.deadletters import attempts_before
from holdfast_protocol.bus.messages import Delivery

_DELIVERY_COUNT = "x-delivery-count"
_NOTHING: Mapping[str, str] = {}


def delivery_from(message: DeliveredMessage, tag: object) -> Delivery:
    """The delivery; never raises."""
    properties = message.header.properties
    headers = properties.headers
    return Delivery(
        message.body,
        message.routing_key or "",
        tag,
        properties.reply_to or None,
        properties.correlation_id or None,
        properties.message_id or None,
        properties.user_id or None,
        bool(message.redelivered),
        texts(headers) if headers else _NOTHING,
        _attempts(headers, redelivered=bool(message.redelivered)) if headers else 1,
    )


def _attempts(headers: Mapping[str, object], *, redelivered: bool) -> int:
    # Of a message that it delivers for the first time, the broker did not write the count.
    count = headers.get(_DELIVERY_COUNT) if redelivered else 0
    return attempts_before(headers) + (count if isinstance(count, int) and count > 0 else 0) + 1


def texts(headers: Mapping[str, object]) -> dict[str, str]:
    """The headers as texts; never raises."""
    return {name: _text(value) for name, value in headers.items()}


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bytes | bytearray):
        return value.decode(errors="replace")
    try:
        return str(value)
    except (RecursionError, ValueError):  # tables in tables, numbers of many digits
        return f"({type(value).__name__})"
