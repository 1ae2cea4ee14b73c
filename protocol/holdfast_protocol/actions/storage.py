"""Payloads of the storage actions. Source: the wire contract, sections 6 and 10.

What the message alone can decide is decided here. Filters and the contents of documents stay
as they came: the backends know their rules.
"""

from typing import Annotated, Self, TypeAlias

from pydantic import Field, model_validator

from holdfast_protocol.fields import (
    Explained,
    Flag,
    JsonArray,
    JsonObject,
    NullMeans,
    PageLimit,
    Path,
    RecordId,
    Text,
    Ttl,
    Version,
    placed_error,
)

from .payload import CollectionPayload
from .rules import (
    Number,
    SortKey,
    at_most_sixteen,
    check_changes_id,
    check_document_id,
    check_no_id_path,
)

FlagOff = Annotated[Flag, NullMeans(bool)]
Filters: TypeAlias = Annotated[JsonObject, NullMeans(dict)]


class _OneRecord(CollectionPayload):
    """`task_id`, or `record_id` in its place."""

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


class _Write(CollectionPayload):
    """A write that may insist on the version it saw."""

    if_version: Version | None = None


class StorageSave(CollectionPayload):
    """Create a record, or replace the one of that id."""

    task: JsonObject | None = None
    record: JsonObject | None = None
    if_version: Version | None = None
    ttl_seconds: Ttl | None = None

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
            Field(ge=1, lt=2**63),
            Explained("must be an integer from 1: a record that exists has no version 0"),
        ]
        | None
    ) = None


class StorageUpdate(_ChangeOne):
    """Change a record in place: `changes`, then `increment`, then `append`."""

    changes: JsonObject | None = None
    increment: dict[Path, Number] | None = None
    append: dict[Path, JsonArray] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.changes is None and self.increment is None and self.append is None:
            raise placed_error("needs at least one of changes, increment and append")
        if self.changes is not None:
            check_changes_id(self.changes, self.record_id)
        check_no_id_path(self.increment, "increment")
        check_no_id_path(self.append, "append")
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
    sort: list[SortKey] | None = None
    fields_: list[Path] | None = Field(default=None, alias="fields")


class StorageCount(CollectionPayload):
    """Count the records that match."""

    filters: Filters = Field(default_factory=dict)


class StorageIndex(CollectionPayload):
    """Declare the paths that are worth an index, or ask which are declared."""

    paths: Annotated[list[Path], at_most_sixteen] | None = None


class StorageCollections(CollectionPayload):
    """List the collections that hold records; `collection` is accepted and has no effect."""
