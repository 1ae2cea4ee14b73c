"""The two envelopes: what an agent is told and what it answers.

Both are frozen. Their payloads, results and metadata are taken as they are, not copied.
Source: the wire contract, sections 2 and 3.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from .errors import error_from
from .fields import (
    ActionName,
    Explained,
    Identifier,
    JsonAny,
    JsonObject,
    NullMeans,
    Text,
    Time,
)
from .ids import uuid7
from .times import utc_now


class AgentMessage(BaseModel):
    """One message to an agent (wire contract, section 2).

    `null` for an optional field means absent. `id` is a fresh UUIDv7 when not given; the same
    id sent again is the same message. `timestamp` and `deadline` are aware datetimes (RFC 3339
    text is accepted).

    Raises:
        pydantic.ValidationError: a field is unknown, missing or wrong.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    action: ActionName
    payload: Annotated[JsonObject, NullMeans(dict)] = Field(default_factory=dict)
    id: Annotated[Identifier, NullMeans(uuid7)] = Field(default_factory=uuid7)
    sender: Identifier | None = None
    recipient: Text | None = None
    correlation_id: Identifier | None = None
    causation_id: Text | None = None
    timestamp: Time | None = None
    deadline: Time | None = None
    metadata: Annotated[JsonObject, NullMeans(dict)] = Field(default_factory=dict)
    schema_version: Annotated[Literal["1"], Explained('must be "1"')] | None = None


class AgentResponse(BaseModel):
    """One answer of an agent (wire contract, section 3).

    Constructing is strict; `codec.decode_responses` forgives unknown fields, because the
    contract only grows.

    Raises:
        pydantic.ValidationError: a field is unknown or wrong.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    status: Annotated[Literal["success", "error"], Explained('must be "success" or "error"')]
    result: JsonAny = None
    meta: Annotated[JsonObject, NullMeans(dict)] = Field(default_factory=dict)
    error: str | None = None
    error_type: str | None = None
    details: Annotated[JsonObject, NullMeans(dict)] = Field(default_factory=dict)
    handoff: JsonObject | None = None
    id: Annotated[str, NullMeans(uuid7)] = Field(default_factory=uuid7)
    in_reply_to: str | None = None
    correlation_id: str | None = None
    sender: str | None = None
    timestamp: Annotated[Time, NullMeans(utc_now)] = Field(default_factory=utc_now)

    @property
    def ok(self) -> bool:
        """Whether the agent did what was asked."""
        return self.status == "success"

    def raise_for_error(self) -> None:
        """Nothing on success.

        Raises:
            HoldfastError: the class of `error_type`, with the response's text and details.
        """
        if self.status == "error":
            raise error_from(
                self.error_type or "internal_error",
                self.error or "the agent answered with an error",
                self.details,
            )
