"""A message that is not executed because of its text or envelope, with what was readable of it.

Source: the wire contract, section 10 "Bodies".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pydantic import JsonValue

from .jsontext import Parsed
from .replies import Reply

_MAX_IDENTIFIER: Final = 128


@dataclass(frozen=True, slots=True)
class Refusal:
    """What is wrong, and whom to tell: fields that could not be read are None."""

    error_type: str
    error: str
    details: dict[str, JsonValue]
    id: str | None = None
    correlation_id: str | None = None
    sender: str | None = None
    action: str | None = None
    recipient: str | None = None

    def to_reply(self, sender: str) -> Reply:
        """The error response; `sender` is the name of the agent that refuses."""
        return Reply(
            "error",
            sender,
            self.id,
            self.correlation_id,
            error=self.error,
            error_type=self.error_type,
            details=self.details,
        )


def refuse(
    error: str,
    details: dict[str, JsonValue],
    raw: Mapping[str, Parsed],
    *,
    default_id: str | None,
    user_id: str | None,
    error_type: str = "validation_error",
) -> Refusal:
    """The refusal of one message, `raw` as far as it could be parsed."""
    return Refusal(
        error_type,
        error,
        details,
        id=identifier(raw.get("id")) or identifier(default_id),
        correlation_id=identifier(raw.get("correlation_id")),
        sender=user_id or identifier(raw.get("sender")),
        action=identifier(raw.get("action")),
        recipient=identifier(raw.get("recipient")),
    )


def identifier(value: Parsed) -> str | None:
    """The value when it is a text of 1 to 128 characters that can be sent back; else None."""
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_IDENTIFIER or "\0" in value:
        return None
    try:
        value.encode()
    except UnicodeEncodeError:
        return None
    return value
