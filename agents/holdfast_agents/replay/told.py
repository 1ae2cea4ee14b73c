"""Answers as a replay meets them: read from a bus, or straight from an agent."""

from collections.abc import Mapping
from typing import Literal, Protocol

import orjson
from pydantic import JsonValue

from holdfast_protocol.errors import HoldfastError
from holdfast_protocol.jsonbytes import compact_json
from holdfast_protocol.messages import AgentResponse
from holdfast_protocol.replies import Reply


class Told(Protocol):
    """An answer: an `AgentResponse` is one."""

    @property
    def status(self) -> Literal["success", "error"]: ...
    @property
    def result(self) -> JsonValue: ...
    @property
    def meta(self) -> Mapping[str, JsonValue]: ...
    @property
    def error(self) -> str | None: ...
    @property
    def error_type(self) -> str | None: ...
    @property
    def details(self) -> Mapping[str, JsonValue]: ...
    @property
    def handoff(self) -> Mapping[str, JsonValue] | None: ...
    @property
    def in_reply_to(self) -> str | None: ...
    @property
    def correlation_id(self) -> str | None: ...
    @property
    def sender(self) -> str | None: ...
    @property
    def ok(self) -> bool: ...


class AgentAnswer:
    """An agent's reply. Its result, encoded already, is only decoded where somebody looks."""

    __slots__ = (
        "_reply",
        "correlation_id",
        "details",
        "error",
        "error_type",
        "handoff",
        "in_reply_to",
        "meta",
        "sender",
        "status",
        "text",
    )

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self.status: Literal["success", "error"] = reply.status
        self.text = compact_json(reply.result)
        """The result as compact JSON."""
        self.meta: Mapping[str, JsonValue] = reply.meta
        self.error = reply.error
        self.error_type = reply.error_type
        self.details: Mapping[str, JsonValue] = reply.details or {}
        self.handoff: Mapping[str, JsonValue] | None = reply.handoff
        self.in_reply_to = reply.in_reply_to
        self.correlation_id = reply.correlation_id
        self.sender = reply.sender

    @property
    def result(self) -> JsonValue:
        """The result, decoded anew."""
        value: JsonValue = orjson.loads(self.text)
        return value

    @property
    def ok(self) -> bool:
        """Whether the agent did what was asked."""
        return self.status == "success"

    def to_response(self) -> AgentResponse:
        """The same answer as a client would read it."""
        return self._reply.to_response()


def has_same_result(expected: AgentResponse, got: Told) -> bool:
    """Whether the results are the same text, which is a fast way to find that they are equal."""
    if not isinstance(got, AgentAnswer):
        return False
    try:
        return compact_json(expected.result) == got.text
    except HoldfastError:
        return False  # numbers beyond 64 bits, in a log that somebody edited
