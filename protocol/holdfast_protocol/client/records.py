"""What the storage helpers return: records, pages, outcomes."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from pydantic import JsonValue

from holdfast_protocol.actions import OperationOutcome
from holdfast_protocol.client.answers import listed, parsed, unexpected
from holdfast_protocol.errors import HoldfastError, InternalError, error_from
from holdfast_protocol.times import parse_time

Document: TypeAlias = dict[str, JsonValue]


@dataclass(frozen=True, slots=True)
class Record:
    """A document with the facts about it; `record["title"]` reads the document.

    After a delete, the document as it was. Facts that the agent did not tell raise
    InternalError, those that not every action tells are None.
    """

    document: Document
    meta: Document = field(default_factory=dict)

    @property
    def id(self) -> int | str:
        """An integer from 1, or a text."""
        value = self.document.get("id")
        if isinstance(value, str) or type(value) is int:
            return value
        raise _untold("id")

    @property
    def version(self) -> int:
        """1 for a new record, and one more with every write."""
        value = self.meta.get("version")
        if type(value) is int:
            return value
        raise _untold("version")

    @property
    def created_at(self) -> datetime:
        """When the record was first saved; a replacement keeps it."""
        return _known("created_at", self._moment("created_at"))

    @property
    def updated_at(self) -> datetime:
        """When the record was last written."""
        return _known("updated_at", self._moment("updated_at"))

    @property
    def expires_at(self) -> datetime | None:
        """When the record will be deleted by itself; None for never."""
        return self._moment("expires_at")

    @property
    def created(self) -> bool | None:
        """After a save: whether it made a new record. None after other actions."""
        value = self.meta.get("created")
        return value if isinstance(value, bool) else None

    @property
    def sequence(self) -> int | None:
        """The collection's sequence as of this answer; after a write, that of its event."""
        value = self.meta.get("sequence")
        return value if type(value) is int else None

    @property
    def replayed(self) -> bool:
        """Whether this is the stored answer to a message that was executed before."""
        return self.meta.get("replayed") is True

    def get(self, key: str, default: JsonValue = None) -> JsonValue:
        """The document's value, or the default where it has no such key."""
        return self.document.get(key, default)

    def __getitem__(self, key: str) -> JsonValue:
        return self.document[key]

    def __contains__(self, key: object) -> bool:
        return key in self.document

    def __iter__(self) -> Iterator[str]:
        return iter(self.document)

    def _moment(self, name: str) -> datetime | None:
        value = self.meta.get(name)
        if not isinstance(value, str):
            return None
        try:
            return parse_time(value)
        except ValueError:
            raise _untold(name) from None


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the documents that were asked for, in order; a sequence of them.

    `next_cursor` continues after the last one and is None when nothing follows.
    """

    documents: list[Document]
    next_cursor: str | None = None
    meta: Document = field(default_factory=dict)

    @property
    def records(self) -> list[Record]:
        """The documents with version and times. Only when asked for `with_meta=True`."""
        facts = self.meta.get("records")
        if not isinstance(facts, list) or len(facts) != len(self.documents):
            raise ValueError("The page was not asked for with_meta=True")
        pairs = zip(self.documents, facts, strict=True)
        return [
            Record(document, fact if isinstance(fact, dict) else {}) for document, fact in pairs
        ]

    def __iter__(self) -> Iterator[Document]:
        return iter(self.documents)

    def __len__(self) -> int:
        return len(self.documents)

    def __getitem__(self, index: int) -> Document:
        return self.documents[index]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one operation of a batch: `result` and `meta`, or `error`."""

    result: JsonValue = None
    meta: Document = field(default_factory=dict)
    error: HoldfastError | None = None

    @property
    def ok(self) -> bool:
        """Whether the operation was done."""
        return self.error is None

    @property
    def record(self) -> Record:
        """The record of a save, get, update or delete.

        Raises:
            HoldfastError: the operation failed.
            ValueError: the result is no document.
        """
        if self.error is not None:
            raise self.error
        if not isinstance(self.result, dict):
            raise ValueError("The result of this operation is no document")
        return Record(self.result, self.meta)


def record_of(result: JsonValue, meta: Document) -> Record:
    """The record an agent answered with. Raises InternalError when it is none."""
    if not isinstance(result, dict):
        raise unexpected("document")
    return Record(result, meta)


def page_of(result: JsonValue, meta: Document) -> Page:
    """The page an agent answered with. Raises InternalError when it is none."""
    items = listed(result)
    documents = [item for item in items if isinstance(item, dict)]
    cursor = meta.get("next_cursor")
    if len(documents) != len(items) or not (cursor is None or isinstance(cursor, str)):
        raise unexpected("list of documents")
    return Page(documents, cursor, meta)


def outcomes_of(result: JsonValue) -> list[Outcome]:
    """The outcomes an agent answered a batch with. Raises InternalError when they are none."""
    return [_outcome(item) for item in listed(result)]


def _outcome(item: JsonValue) -> Outcome:
    told = parsed(OperationOutcome, item)
    if told.status == "success":
        return Outcome(told.result, told.meta)
    error_type, error = told.error_type or "internal_error", told.error or "the operation failed"
    return Outcome(error=error_from(error_type, error, told.details))


def _known(name: str, moment: datetime | None) -> datetime:
    if moment is None:
        raise _untold(name)
    return moment


def _untold(name: str) -> InternalError:
    return unexpected(name)
