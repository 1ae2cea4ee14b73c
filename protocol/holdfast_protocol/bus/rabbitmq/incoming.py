"""From the driver's message to ours, whatever a sender has put into it."""

from collections.abc import Mapping

from aiormq.abc import DeliveredMessage

from holdfast_protocol.bus.contract import Delivery

_NOTHING: Mapping[str, str] = {}


def delivery_from(message: DeliveredMessage, tag: object) -> Delivery:
    """The delivery; never raises."""
    properties = message.header.properties
    return Delivery(
        message.body,
        message.routing_key or "",
        tag,
        properties.reply_to or None,
        properties.correlation_id or None,
        properties.message_id or None,
        properties.user_id or None,
        bool(message.redelivered),
        _texts(properties.headers) if properties.headers else _NOTHING,
    )


def _texts(headers: Mapping[str, object]) -> dict[str, str]:
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
