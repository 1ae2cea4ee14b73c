"""One message over the bus, for `holdfast send`."""

from dataclasses import dataclass
from datetime import datetime
from math import isfinite
from typing import Final

import orjson
import pydantic
from pydantic import JsonValue

from holdfast_protocol import (
    AgentClient,
    AgentMessage,
    AgentResponse,
    HoldfastError,
    RequestTimeoutError,
    TooLargeError,
    ValidationError,
)
from holdfast_protocol.bus.checks import check_agent
from holdfast_protocol.bus.opening import open_bus
from holdfast_protocol.client import CallOptions
from holdfast_protocol.codec import Refusal, decode_messages
from holdfast_protocol.times import parse_time
from holdfast_protocol.validation import describe, validation_details

from .common import ExitCode, fail

_CONNECT_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Request:
    """What to send. `timeout` is in seconds, `deadline` an aware datetime or seconds from now."""

    agent: str
    action: str
    payload: dict[str, JsonValue]
    sender: str
    message_id: str | None
    correlation_id: str | None
    deadline: datetime | float | None
    timeout: float
    wants_reply: bool


@dataclass(frozen=True, slots=True)
class Received:
    """What came of it: a response, an error of the way there, or a confirmed message's id."""

    code: ExitCode
    response: AgentResponse | None = None
    error: HoldfastError | None = None
    message_id: str | None = None


def parse_payload(text: bytes) -> dict[str, JsonValue]:
    """The payload, checked as an agent would check it; the end of the command (2) if wrong."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        fail(f"the payload is no JSON: {error}", ExitCode.USAGE)
    if not isinstance(value, dict):
        fail("the payload is JSON, but no object: write it as {…}", ExitCode.USAGE)
    item = decode_messages(b'{"action":"any","payload":' + text + b"}").items[0]
    if isinstance(item, Refusal):
        fail(item.error, ExitCode.USAGE)
    return item.payload


def parse_deadline(text: str | None) -> datetime | float | None:
    """Seconds from now, or a moment; the end of the command (2) if it is neither."""
    if text is None:
        return None
    try:
        return parse_time(text) if "T" in text else _finite(text)
    except ValueError:
        example = "e.g. 2.5 or 2030-01-31T12:00:00Z"
        fail(f"--deadline is seconds from now or an RFC 3339 time, {example}", ExitCode.USAGE)


def _finite(text: str) -> float:
    seconds = float(text)
    if not isfinite(seconds):
        raise ValueError("not finite")
    return seconds


def check_names(request: Request) -> None:
    """The end of the command (2) where no message can have these names; before any connection."""
    given = {
        "id": request.message_id,
        "sender": request.sender,
        "correlation_id": request.correlation_id,
    }
    try:
        check_agent(request.agent)
        AgentMessage.model_validate({"action": request.action, **given})
    except pydantic.ValidationError as error:
        fail(describe("message", validation_details(error)), ExitCode.USAGE)
    except ValueError:
        fail(f"{request.agent!r} is no name of an agent, such as storage", ExitCode.USAGE)


async def send_request(request: Request, bus: str, namespace: str) -> Received:
    """Send it, and wait for the answer or the broker's confirm."""
    options: CallOptions = {
        "message_id": request.message_id,
        "correlation_id": request.correlation_id,
        "deadline": request.deadline,
        "timeout": request.timeout,
    }
    patience = min(request.timeout, _CONNECT_SECONDS)
    opened = open_bus(bus, namespace=namespace, operation_timeout=patience)
    try:
        async with opened, AgentClient(bus=opened, sender=request.sender) as client:
            return await _carried(client, request, options)
    except RequestTimeoutError as error:
        return Received(ExitCode.TIMEOUT, error=error)
    except (ValidationError, TooLargeError) as error:
        # The client refuses these before it sends: an agent's own come as responses.
        fail(error.message, ExitCode.USAGE)
    except HoldfastError as error:
        return Received(ExitCode.FAILED, error=error)


async def _carried(client: AgentClient, request: Request, options: CallOptions) -> Received:
    agent, action, payload = request.agent, request.action, request.payload
    if not request.wants_reply:
        message_id = await client.send(agent, action, payload, **options)
        return Received(ExitCode.OK, message_id=message_id)
    response = await client.request(agent, action, payload, **options)
    return Received(ExitCode.OK if response.ok else ExitCode.FAILED, response)
