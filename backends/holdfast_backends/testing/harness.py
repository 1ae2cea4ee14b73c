"""The clock, the types and the short words that the cases are written in.

Each word does one operation through `execute` and insists on the outcome's type, so that a
test reads as what it claims and an unexpected failure shows itself at once.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeAlias, TypeVar

import pytest

from holdfast_backends.contract import Backend
from holdfast_backends.errors import InvalidValueError, StorageError
from holdfast_backends.filters import EVERYTHING, parse_filter
from holdfast_backends.operations import (
    Count,
    Delete,
    Find,
    Get,
    Identity,
    Operation,
    Save,
    Transaction,
    Update,
    parse_fields,
    parse_sort,
)
from holdfast_backends.outcomes import Batched, Counted, Failed, Found, Outcome, Page, Saved
from holdfast_backends.values import DEFAULT_COLLECTION, JsonObject, JsonValue, RecordId

T = TypeVar("T")

Clock: TypeAlias = Callable[[], int]
Sort: TypeAlias = Sequence[Sequence[str]]

MICROSECONDS = 1_000_000
DAY_SECONDS = 86_400
MAX_INTEGER = 2**63 - 1
MIN_INTEGER = -(2**63)


class AnyBackend(Backend, Protocol):
    """A backend with the thin methods; they raise `StorageError`s."""

    async def save(
        self,
        document: JsonObject,
        *,
        collection: str = ...,
        if_version: int | None = ...,
        ttl_seconds: float | None = ...,
    ) -> JsonObject: ...

    async def get(self, record_id: RecordId, *, collection: str = ...) -> JsonObject: ...

    async def update(
        self,
        record_id: RecordId,
        changes: JsonObject | None = ...,
        *,
        increment: dict[str, int | float] | None = ...,
        append: dict[str, list[JsonValue]] | None = ...,
        if_version: int | None = ...,
        collection: str = ...,
    ) -> JsonObject: ...

    async def delete(
        self, record_id: RecordId, *, if_version: int | None = ..., collection: str = ...
    ) -> JsonObject: ...

    async def list_all(self, *, collection: str = ...) -> list[JsonObject]: ...

    async def query(
        self,
        filters: JsonObject | None = ...,
        *,
        sort: Sort | None = ...,
        fields: Sequence[str] | None = ...,
        limit: int | None = ...,
        collection: str = ...,
    ) -> list[JsonObject]: ...

    async def count(self, filters: JsonObject | None = ..., *, collection: str = ...) -> int: ...


OpenBackend: TypeAlias = Callable[[Clock], AbstractAsyncContextManager[AnyBackend]]
"""Opens the store of the test; empty at the first call, the same one at every other."""


class ManualClock:
    """A clock that stands still until a test moves it: microseconds since 1970."""

    def __init__(self, now: int = 1_700_000_000 * MICROSECONDS) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now

    def advance(self, seconds: float) -> None:
        """Move on by so many seconds."""
        self.now += round(seconds * MICROSECONDS)


def expect(kind: type[T], outcome: Outcome) -> T:
    """The outcome, which is of this kind."""
    assert isinstance(outcome, kind), f"expected {kind.__name__}, got {outcome}"
    return outcome


async def perform(backend: Backend, operation: Operation) -> Outcome:
    """The outcome of one operation."""
    (outcome,) = await backend.execute([operation])
    return outcome


async def failure(backend: Backend, operation: Operation) -> Failed:
    """The failure of an operation that must fail."""
    return expect(Failed, await perform(backend, operation))


async def save(
    backend: Backend,
    document: JsonObject,
    *,
    collection: str = DEFAULT_COLLECTION,
    if_version: int | None = None,
    ttl_seconds: float | None = None,
    identity: Identity | None = None,
) -> Saved:
    """Save one document."""
    operation = Save(document, collection, if_version, ttl_seconds, identity)
    return expect(Saved, await perform(backend, operation))


async def save_all(
    backend: Backend, documents: Sequence[JsonObject], *, collection: str = DEFAULT_COLLECTION
) -> list[Saved]:
    """Save documents in one call, in order."""
    outcomes = await backend.execute([Save(document, collection) for document in documents])
    return [expect(Saved, outcome) for outcome in outcomes]


async def get(
    backend: Backend, record_id: RecordId, *, collection: str = DEFAULT_COLLECTION
) -> Found:
    """Read one record."""
    return expect(Found, await perform(backend, Get(record_id, collection)))


async def update(
    backend: Backend,
    record_id: RecordId,
    changes: JsonObject | None = None,
    *,
    increment: dict[str, int | float] | None = None,
    append: dict[str, list[JsonValue]] | None = None,
    collection: str = DEFAULT_COLLECTION,
    if_version: int | None = None,
    identity: Identity | None = None,
) -> Found:
    """Update one record."""
    operation = Update(record_id, changes, increment, append, collection, if_version, identity)
    return expect(Found, await perform(backend, operation))


async def delete(
    backend: Backend,
    record_id: RecordId,
    *,
    collection: str = DEFAULT_COLLECTION,
    if_version: int | None = None,
    identity: Identity | None = None,
) -> Found:
    """Delete one record."""
    operation = Delete(record_id, collection, if_version, identity)
    return expect(Found, await perform(backend, operation))


def finding(
    filters: JsonObject | None = None,
    *,
    sort: Sort | None = None,
    fields: Sequence[str] | None = None,
    limit: int | None = None,
    cursor: str | None = None,
    max_bytes: int | None = None,
    collection: str = DEFAULT_COLLECTION,
    scope: str = "query",
) -> Find:
    """The operation of a query, written as it is on the wire."""
    return Find(
        collection=collection,
        filter=EVERYTHING if filters is None else parse_filter(filters),
        sort=parse_sort(sort),
        fields=parse_fields(fields),
        limit=limit,
        cursor=cursor,
        max_bytes=max_bytes,
        scope=scope,
    )


async def find(backend: Backend, operation: Find) -> Page:
    """One page."""
    return expect(Page, await perform(backend, operation))


async def all_pages(backend: Backend, ask: Callable[[str | None], Find]) -> list[Page]:
    """Every page of a query; `ask` makes the operation for a cursor. At most 1,000 pages."""
    pages = [await find(backend, ask(None))]
    while (cursor := pages[-1].next_cursor) is not None:
        assert len(pages) < 1_000, "the pages do not end"
        pages.append(await find(backend, ask(cursor)))
    return pages


def ids_of(*pages: Page) -> list[RecordId]:
    """The ids of records, in order."""
    return [record.id for page in pages for record in page.records]


def documents_of(*pages: Page) -> list[JsonObject]:
    """The documents of pages, in order."""
    return [record.value for page in pages for record in page.records]


async def matching(
    backend: Backend, filters: JsonObject, *, collection: str = DEFAULT_COLLECTION
) -> set[RecordId]:
    """The ids of the records that match."""
    return set(ids_of(await find(backend, finding(filters, collection=collection))))


async def count(
    backend: Backend,
    filters: JsonObject | None = None,
    *,
    collection: str = DEFAULT_COLLECTION,
) -> int:
    """How many records match."""
    operation = Count(collection, EVERYTHING if filters is None else parse_filter(filters))
    return expect(Counted, await perform(backend, operation)).count


async def transact(
    backend: Backend,
    *operations: Any,
    atomic: bool = True,
    max_bytes: int | None = None,
    identity: Identity | None = None,
) -> tuple[Outcome, ...]:
    """The outcomes of a transaction that succeeds as a whole."""
    transaction = Transaction(operations, atomic, max_bytes, identity)
    return expect(Batched, await perform(backend, transaction)).outcomes


def identify(message_id: str = "message", *, sender: str = "tester", digest: str = "a") -> Identity:
    """The identity of a message; another `digest` is another payload."""
    return Identity(sender, message_id, digest.encode())


async def refused(call: Awaitable[object], *place: str | int) -> InvalidValueError:
    """The refusal of a call that can never succeed; `place` is the end of where it points."""
    with pytest.raises(InvalidValueError) as caught:
        await call
    error = caught.value
    assert error.loc[len(error.loc) - len(place) :] == place
    assert error.details == {"errors": [{"loc": list(error.loc), "msg": error.message}]}
    return error


async def raised(kind: type[StorageError], call: Awaitable[object]) -> StorageError:
    """The error of a call that fails: of exactly this kind."""
    with pytest.raises(kind) as caught:
        await call
    assert type(caught.value) is kind
    return caught.value


def exactly(value: object) -> str:
    """A value told apart from every other one, in JSON type and sign of zero too."""
    if isinstance(value, dict):
        inner = ", ".join(f"{key!r}: {exactly(value[key])}" for key in sorted(value))
        return f"{{{inner}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(exactly, value))}]"
    return f"{type(value).__name__} {value!r}"


def nested(levels: int, innermost: JsonValue = None) -> JsonValue:
    """A value of so many levels of objects (`{"n": {"n": …}}`) around a scalar."""
    value: JsonValue = innermost
    for _ in range(levels):
        value = {"n": value}
    return value
