"""From a caller's arguments to an encoded message with its moments."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import inf
from typing import Final, TypedDict

import pydantic

from holdfast_protocol.bus.checks import check_agent
from holdfast_protocol.client.exchange import DEADLINE_GRACE
from holdfast_protocol.client.outgoing import Outgoing
from holdfast_protocol.client.retrying import first_interval
from holdfast_protocol.codec import encode_message
from holdfast_protocol.errors import TooLargeError, ValidationError
from holdfast_protocol.ids import uuid7
from holdfast_protocol.limits import MAX_MESSAGE_BYTES
from holdfast_protocol.messages import AgentMessage
from holdfast_protocol.refusals import identifier
from holdfast_protocol.times import utc_now
from holdfast_protocol.validation import describe, problem, validation_details

# `model_validate` without its Python layer.
_to_message: Final[Callable[[dict[str, object]], AgentMessage]] = (
    AgentMessage.__pydantic_validator__.validate_python
)


class ReadOptions(TypedDict, total=False):
    """What may accompany every request.

    `deadline`: an aware datetime, or a timedelta or seconds from now; the agent does not
    execute the message after it (it answers `expired`), and the client waits until 1 second
    after it, unless `timeout` or the client's own timeout says otherwise.
    `timeout`: seconds to wait for the answer, all attempts together.
    `correlation_id`: the conversation, 1 to 128 characters; echoed in the response.
    `causation_id`: the id of the message that caused this one.
    `metadata`: JSON values; journaled, never interpreted.
    """

    deadline: datetime | timedelta | float | None
    timeout: float | None
    correlation_id: str | None
    causation_id: str | None
    metadata: Mapping[str, object] | None


class CallOptions(ReadOptions, total=False):
    """What may accompany a request that is one message.

    `message_id`: 1 to 128 characters; the same id sent again is the same message. Without
    one, a fresh UUIDv7.
    """

    message_id: str | None


@dataclass(frozen=True, slots=True)
class Composer:
    """Makes the messages of one client. `timeout` is seconds, `max_bytes` of one message.

    Raises ValueError for what no message could carry.
    """

    sender: str | None
    timeout: float
    max_bytes: int

    def __post_init__(self) -> None:
        if self.sender is not None and identifier(self.sender) is None:
            raise ValueError("sender must be a string of 1 to 128 characters")
        if not 0 < self.timeout < inf:
            raise ValueError("timeout must be a positive number of seconds")
        if not 0 < self.max_bytes <= MAX_MESSAGE_BYTES:
            raise ValueError(f"max_message_bytes must be within 1 and {MAX_MESSAGE_BYTES}")

    def compose(
        self,
        recipient: str,
        action: str,
        payload: Mapping[str, object] | None,
        options: CallOptions,
        *,
        wants_reply: bool,
    ) -> Outgoing:
        """The encoded message, with a future that waits for its answer.

        Raises:
            ValidationError: an argument is wrong, or the payload is no JSON.
            TooLargeError: the encoded message is over the limit.
        """
        loop = asyncio.get_running_loop()
        now = loop.time()
        message = self._message(recipient, action, payload, options)
        body = encode_message(message)
        if len(body) > self.max_bytes:
            raise TooLargeError(
                f"The message has {len(body)} bytes; at most {self.max_bytes} can be sent"
            )
        deadline_at = now + _seconds_until(message.deadline)
        timeout = self._timeout(options.get("timeout"), deadline_at - now)
        return Outgoing(
            message,
            recipient,
            body,
            wants_reply,
            loop.create_future(),
            now + timeout,
            deadline_at,
            first_interval(timeout),
        )

    def _message(
        self,
        recipient: str,
        action: str,
        payload: Mapping[str, object] | None,
        options: CallOptions,
    ) -> AgentMessage:
        _check_recipient(recipient)
        message_id = options.get("message_id")
        fields: dict[str, object] = {
            "action": action,
            "id": uuid7() if message_id is None else message_id,
            "recipient": recipient,
            "sender": self.sender,
        }
        if payload:
            fields["payload"] = payload if isinstance(payload, dict) else dict(payload)
        if options:
            _add_options(fields, options)
        try:
            return _to_message(fields)
        except pydantic.ValidationError as error:
            details = validation_details(error)
            raise ValidationError(describe("message", details), details) from None

    def _timeout(self, given: float | None, until_deadline: float) -> float:
        if given is not None:
            return _checked_timeout(given)
        # After the deadline only the answer of an execution that had begun can come.
        return min(self.timeout, max(until_deadline, 0.0) + DEADLINE_GRACE)


def _checked_timeout(seconds: float) -> float:
    if not 0 < seconds < inf:
        text = "must be a positive number of seconds"
        raise ValidationError(f"Invalid message: timeout {text}", problem(("timeout",), text))
    return seconds


def _check_recipient(recipient: str) -> None:
    try:
        check_agent(recipient)
    except (TypeError, ValueError):
        text = "must be the name of an agent"
        raise ValidationError(
            f"Invalid message: recipient {text}", problem(("recipient",), text)
        ) from None


def _add_options(fields: dict[str, object], options: CallOptions) -> None:
    fields["correlation_id"] = options.get("correlation_id")
    fields["causation_id"] = options.get("causation_id")
    metadata, deadline = options.get("metadata"), options.get("deadline")
    if metadata is not None:
        fields["metadata"] = dict(metadata)
    if deadline is not None:
        fields["deadline"] = _deadline(deadline)


def _deadline(given: datetime | timedelta | float) -> datetime:
    if isinstance(given, datetime):
        return given
    try:
        return utc_now() + (given if isinstance(given, timedelta) else timedelta(seconds=given))
    except (OverflowError, ValueError):  # not a number, or beyond the year 9999
        text = "must be a time within the years 1 to 9999"
        raise ValidationError(
            f"Invalid message: deadline {text}", problem(("deadline",), text)
        ) from None


def _seconds_until(deadline: datetime | None) -> float:
    return inf if deadline is None else (deadline - utc_now()).total_seconds()
