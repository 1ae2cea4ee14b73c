"""The thin methods: one call, one operation, one document back or one error raised.

The names, signatures and errors are the storage seed's; `collection` is a keyword everywhere.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TypeVar

from .errors import StorageError
from .filters import EVERYTHING, parse_filter
from .operations import (
    Count,
    Delete,
    Find,
    Get,
    Operation,
    Save,
    Update,
    parse_fields,
    parse_sort,
)
from .outcomes import Counted, Failed, Found, Outcome, Page, Saved
from .values import DEFAULT_COLLECTION, JsonObject, JsonValue, RecordId

_T = TypeVar("_T")


class BackendMethods(ABC):
    """`save`, `get`, `update`, `delete`, `list_all`, `query`, `count` over `execute`.

    All raise `StorageError` or one of its kinds. Arguments are never changed, and what is
    returned belongs to the caller.
    """

    @abstractmethod
    async def execute(self, operations: Sequence[Operation]) -> list[Outcome]:
        """As `contract.Backend.execute`."""

    async def save(
        self,
        document: JsonObject,
        *,
        collection: str = DEFAULT_COLLECTION,
        if_version: int | None = None,
        ttl_seconds: float | None = None,
    ) -> JsonObject:
        """Keep a document and return it with its id; without an id, under the next integer."""
        operation = Save(document, collection, if_version, ttl_seconds)
        return (await self._one(operation, Saved)).record.value

    async def get(self, record_id: RecordId, *, collection: str = DEFAULT_COLLECTION) -> JsonObject:
        """The document with this id, or `TaskNotFoundError`."""
        return (await self._one(Get(record_id, collection), Found)).record.value

    async def update(
        self,
        record_id: RecordId,
        changes: JsonObject | None = None,
        *,
        increment: dict[str, int | float] | None = None,
        append: dict[str, list[JsonValue]] | None = None,
        if_version: int | None = None,
        collection: str = DEFAULT_COLLECTION,
    ) -> JsonObject:
        """Change a document atomically and return it as it is then, or `TaskNotFoundError`."""
        operation = Update(record_id, changes, increment, append, collection, if_version)
        return (await self._one(operation, Found)).record.value

    async def delete(
        self,
        record_id: RecordId,
        *,
        if_version: int | None = None,
        collection: str = DEFAULT_COLLECTION,
    ) -> JsonObject:
        """Remove a document and return it as it was, or `TaskNotFoundError`."""
        operation = Delete(record_id, collection, if_version)
        return (await self._one(operation, Found)).record.value

    async def list_all(self, *, collection: str = DEFAULT_COLLECTION) -> list[JsonObject]:
        """All documents of a collection, in the order of their ids."""
        page = await self._one(Find(collection), Page)
        return [record.value for record in page.records]

    async def query(
        self,
        filters: JsonObject | None = None,
        *,
        sort: Sequence[Sequence[str]] | None = None,
        fields: Sequence[str] | None = None,
        limit: int | None = None,
        collection: str = DEFAULT_COLLECTION,
    ) -> list[JsonObject]:
        """The documents that match, sorted, at most `limit` of them."""
        operation = Find(
            collection,
            EVERYTHING if filters is None else parse_filter(filters),
            parse_sort(sort),
            parse_fields(fields),
            limit,
            scope="query",
        )
        return [record.value for record in (await self._one(operation, Page)).records]

    async def count(
        self, filters: JsonObject | None = None, *, collection: str = DEFAULT_COLLECTION
    ) -> int:
        """How many documents match."""
        where = EVERYTHING if filters is None else parse_filter(filters)
        return (await self._one(Count(collection, where), Counted)).count

    async def _one(self, operation: Operation, kind: type[_T]) -> _T:
        (outcome,) = await self.execute([operation])
        if isinstance(outcome, Failed):
            raise outcome.error
        if not isinstance(outcome, kind):
            raise StorageError("the backend gave an outcome of another kind")
        return outcome
