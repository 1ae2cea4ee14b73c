"""Control messages: what is told to every process of an agent kind.

Source: the wire contract, section 1 (`holdfast.control`) and section 10 "Cancellation".
"""

from typing import Final, NamedTuple

import orjson

from .errors import ValidationError
from .jsonbytes import compact_json
from .refusals import identifier
from .validation import problem

MAX_CONTROL_BYTES: Final = 64 * 1024


class Cancel(NamedTuple):
    """Do not execute the message of this identity, if that is still possible."""

    message_id: str
    sender: str | None


def cancel_key(agent: str) -> str:
    """The routing key under which the processes of an agent kind hear of cancellations."""
    return f"{agent}.cancel"


def cancel_body(message_id: str, sender: str | None) -> bytes:
    """The body that cancels a message.

    Raises:
        ValidationError: no message can have that id, or that sender.
    """
    for name, value in (("message_id", message_id), ("sender", sender)):
        if identifier(value) is None and not (name == "sender" and value is None):
            rule = "must be a string of 1 to 128 characters"
            raise ValidationError(f"Invalid cancellation: {name} {rule}", problem((name,), rule))
    return compact_json({"type": "cancel", "message_id": message_id, "sender": sender})


def parse_control(body: bytes, user_id: str | None = None) -> Cancel | None:
    """The control message of a body; None when it is none that this version knows.

    Never raises. `user_id` is the sender the broker vouches for: it wins, as in a message.
    """
    if len(body) > MAX_CONTROL_BYTES:
        return None
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(value, dict) or value.get("type") != "cancel":
        return None
    message_id, told = identifier(value.get("message_id")), value.get("sender")
    sender = identifier(told)
    if message_id is None or (sender is None and told is not None):
        return None
    return Cancel(message_id, user_id or sender)
