"""Types of the results of the storage actions. Source: the wire contract, section 6."""

from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from holdfast_protocol.fields import CollectionName, JsonAny, JsonObject

Document: TypeAlias = JsonObject
Documents: TypeAlias = list[JsonObject]


class Result(BaseModel):
    """Part of an answer: frozen; unknown fields of a later agent are dropped."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class IndexState(Result):
    """The collection's declared paths, and whether the backend has built their indexes."""

    paths: list[str]
    ready: bool


class CollectionCount(Result):
    """One collection that holds records."""

    collection: CollectionName
    count: Annotated[int, Field(ge=0)]


class OperationOutcome(Result):
    """The answer to one operation of a batch."""

    status: Literal["success", "error"]
    result: JsonAny = None
    meta: JsonObject = Field(default_factory=dict)
    error: str | None = None
    error_type: str | None = None
    details: JsonObject = Field(default_factory=dict)
