"""Payloads of the storage actions. Source: the wire contract, sections 6 and 10.

What the message alone can decide is decided here. Filters and the contents of documents stay
as they came: the backends know their rules.
"""

from typing import Annotated, Final, Self, TypeAlias

from pydantic import ConfigDict, Field, JsonValue, model_validator

from holdfast_protocol.fields import (
    Explained,
    Flag,
    JsonObject,
    NullMeans,
    PageLimit,
    RecordId,
    Text,
    Ttl,
    Version,
    placed_error,
)
from holdfast_protocol.limits import MAX_INTEGER

from .locks import GivenFence
from .payload import CollectionPayload
from .rules import (
    Appends,
    Increments,
    IndexPaths,
    Paths,
    Sort,
    check_changes_id,
    check_document_id,
)

FlagOff = Annotated[Flag, NullMeans(bool)]
Filters: TypeAlias = Annotated[JsonObject, NullMeans(dict)]


def _needs(*names: str) -> list[JsonValue]:
    """JSON Schema: at least one of these properties."""
    return [{"required": [name]} for name in names]


_ID_GIVEN: Final = _needs("task_id", "record_id")


class _OneRecord(CollectionPayload):
    """`task_id`, or `record_id` in its place."""

    model_config = ConfigDict(json_schema_extra={"anyOf": _ID_GIVEN})

    task_id_: RecordId | None = Field(default=None, alias="task_id")
    record_id_: RecordId | None = Field(default=None, alias="record_id")

    @property
    def record_id(self) -> int | str:
        """The id that was given under either name."""
        if self.task_id_ is not None:
            return self.task_id_
        assert self.record_id_ is not None  # noqa: S101 - checked when the model was made
        return self.record_id_

    @model_validator(mode="after")
    def _exactly_one_id(self) -> Self:
        if self.task_id_ is None:
            if self.record_id_ is None:
                raise placed_error("is required", "task_id")
        elif self.record_id_ is not None:
            raise placed_error("cannot be given beside task_id", "record_id")
        return self


class StorageSave(CollectionPayload):
    """Create a record, or replace the one of that id."""

    model_config = ConfigDict(json_schema_extra={"anyOf": _needs("task", "record")})

    task: JsonObject | None = None
    record: JsonObject | None = None
    if_version: Version | None = None
    ttl_seconds: Ttl | None = None
    fence: GivenFence | None = None

    @property
    def document(self) -> JsonObject:
        """The document that was given under either name."""
        return self.task if self.task is not None else self.record or {}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        name, document = ("task", self.task) if self.record is None else ("record", self.record)
        if document is None:
            raise placed_error("is required", "task")
        if name == "record" and self.task is not None:
            raise placed_error("cannot be given beside task", "record")
        record_id = document.get("id")
        if record_id is not None:
            check_document_id(record_id, name)
        elif self.if_version:
            raise placed_error("can only be 0 for a record without an id", "if_version")
        return self


class StorageGet(_OneRecord):
    """Read one record."""


class _ChangeOne(_OneRecord):
    if_version: (
        Annotated[
            int,
            Field(ge=1, le=MAX_INTEGER),
            Explained("must be an integer from 1: a record that exists has no version 0"),
        ]
        | None
    ) = None
    fence: GivenFence | None = None


class StorageUpdate(_ChangeOne):
    """Change a record in place: `changes`, then `increment`, then `append`."""

    model_config = ConfigDict(
        json_schema_extra={
            "allOf": [
                {"anyOf": _ID_GIVEN},
                {"anyOf": _needs("changes", "increment", "append")},
            ]
        }
    )

    changes: JsonObject | None = None
    increment: Increments | None = None
    append: Appends | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.changes is None and self.increment is None and self.append is None:
            raise placed_error("needs at least one of changes, increment and append")
        if self.changes is not None:
            check_changes_id(self.changes, self.record_id)
        return self


class StorageDelete(_ChangeOne):
    """Delete one record."""


class StorageList(CollectionPayload):
    """Read records in the order of their ids."""

    limit: PageLimit | None = None
    cursor: Text | None = None
    with_meta: FlagOff = False


class StorageQuery(StorageList):
    """Read the records that match, sorted, whole or in part."""

    filters: Filters = Field(default_factory=dict)
    sort: Sort | None = None
    fields_: Paths | None = Field(default=None, alias="fields")


class StorageCount(CollectionPayload):
    """Count the records that match."""

    filters: Filters = Field(default_factory=dict)


class StorageIndex(CollectionPayload):
    """Declare the paths that are worth an index, or ask which are declared."""

    paths: IndexPaths | None = None


class StorageCollections(CollectionPayload):
    """List the collections that hold records; `collection` is accepted and has no effect."""
