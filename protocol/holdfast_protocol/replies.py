"""The agent's side of a response: what the runner encodes, documents spliced as bytes.

Source: the wire contract, section 3.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple, Self, TypeAlias

import orjson
from pydantic import JsonValue

from .jsonbytes import RawJson, compact_json
from .messages import AgentMessage, AgentResponse

__all__ = ["RawJson", "Reply", "ReplyResult"]

# JSON in which encoded parts may stand anywhere.
ReplyResult: TypeAlias = "JsonValue | RawJson | Sequence[ReplyResult] | Mapping[str, ReplyResult]"


_NO_META: Final[Mapping[str, JsonValue]] = {}


class Reply(NamedTuple):
    """One answer, before it has an id, a timestamp and an encoding.

    `codec.encode_replies` gives it those. On success `error`, `error_type` and `details` are
    None; on error `result` is None. `sender` is the name of the agent that answers.
    """

    status: Literal["success", "error"]
    sender: str
    in_reply_to: str | None = None
    correlation_id: str | None = None
    result: ReplyResult = None
    meta: Mapping[str, JsonValue] = _NO_META
    error: str | None = None
    error_type: str | None = None
    details: dict[str, JsonValue] | None = None
    handoff: dict[str, JsonValue] | None = None

    @classmethod
    def success(
        cls,
        message: AgentMessage,
        sender: str,
        result: ReplyResult,
        meta: Mapping[str, JsonValue] = _NO_META,
    ) -> Self:
        """The answer to a message that was done."""
        return cls("success", sender, message.id, message.correlation_id, result, meta)

    @classmethod
    def failure(
        cls,
        message: AgentMessage,
        sender: str,
        error_type: str,
        error: str,
        details: dict[str, JsonValue] | None = None,
    ) -> Self:
        """The answer to a message that could not be done."""
        return cls(
            "error",
            sender,
            message.id,
            message.correlation_id,
            error=error,
            error_type=error_type,
            details=details,
        )

    def to_response(self) -> AgentResponse:
        """The same answer as a client would read it, with a fresh id and timestamp."""
        return AgentResponse(
            status=self.status,
            sender=self.sender,
            in_reply_to=self.in_reply_to,
            correlation_id=self.correlation_id,
            result=orjson.loads(compact_json(self.result)),
            meta=dict(self.meta),
            error=self.error,
            error_type=self.error_type,
            details=self.details or {},
            handoff=self.handoff,
        )
