"""What the demonstration does with its documents, step by step, through the client."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Final, Protocol, TypeAlias, TypeVar

from pydantic import JsonValue

from holdfast_protocol import AgentClient, HoldfastError

COLLECTION: Final = "distributions"
_Document: TypeAlias = dict[str, JsonValue]
T = TypeVar("T")


@dataclass(slots=True)
class Step:
    """One step: how many messages it took, how long, and what it showed."""

    name: str
    messages: int = 0
    seconds: float = 0.0
    shown: str = ""

    @property
    def rate(self) -> float:
        """Messages per second."""
        return self.messages / self.seconds if self.seconds > 0 else 0.0


class Show(Protocol):
    """Whoever shows how far a step is."""

    def begin(self, name: str, total: int) -> None:
        """A step of so many messages begins."""

    def advance(self) -> None:
        """One of its messages was answered."""


class DemoError(Exception):
    """An answer is not what it has to be."""


class Story:
    """The steps, in order.

    Args:
        client: of a service whose store is empty.
        documents: each with an `id`.
        show: is told how far each step is.
    """

    def __init__(self, client: AgentClient, documents: Sequence[_Document], show: Show) -> None:
        self._client = client
        self._documents = documents
        self._ids = [str(document["id"]) for document in documents]
        self._show = show
        self.steps: list[Step] = []

    async def tell(self) -> list[Step]:
        """Do everything; the steps.

        Raises:
            DemoError: an answer is wrong.
            HoldfastError: a request failed that must not fail.
        """
        for part in (
            *(self._save, self._get, self._index, self._query, self._update, self._page),
            *(self._count, self._delete, self._batch, self._repeat, self._refuse),
        ):
            await part()
        return self.steps

    # -- the steps -----------------------------------------------------------------------------

    async def _save(self) -> None:
        async with self._step("save", len(self._documents)) as step:
            records = await self._all(
                self._client.storage.save(document, collection=COLLECTION)
                for document in self._documents
            )
            _expect(all(record.created for record in records), "every document is new")
            step.shown = "each acknowledged after its commit"

    async def _get(self) -> None:
        async with self._step("get", len(self._ids)) as step:
            records = await self._all(
                self._client.storage.get(key, collection=COLLECTION) for key in self._ids
            )
            same = [record.document for record in records] == list(self._documents)
            _expect(same, "what is read is what was saved")
            step.shown = "every document equals what was saved"

    async def _index(self) -> None:
        async with self._step("index", 1) as step:
            paths = ["name", "files.bytes"]
            await self._client.storage.index(paths, collection=COLLECTION)
            self._show.advance()
            step.shown = f"real indexes on {' and '.join(paths)}"

    async def _query(self) -> None:
        query = self._client.storage.query
        async with self._step("query", 5) as step:
            typed = await self._one(
                query(
                    {"classifiers": {"$contains": "Typing :: Typed"}},
                    fields=["name", "version"],
                    collection=COLLECTION,
                )
            )
            largest = await self._one(
                query(
                    {"files.bytes": {"$gt": 0}},
                    sort=[("files.bytes", "desc")],
                    fields=["name", "files"],
                    limit=5,
                    collection=COLLECTION,
                )
            )
            await self._one(
                query(
                    {"$or": [{"license": {"$prefix": "MIT"}}, {"license": {"$contains": "BSD"}}]},
                    sort=[("license", "asc"), ("name", "asc")],
                    fields=["name", "license"],
                    collection=COLLECTION,
                )
            )
            await self._one(query({"requires": [], "name": {"$gte": "m"}}, collection=COLLECTION))
            await self._one(
                query(
                    {"$not": {"python": {"$exists": True}}, "summary": {"$ne": None}},
                    fields=[],
                    with_meta=True,
                    collection=COLLECTION,
                )
            )
            first = f", the largest {largest[0]['name']}" if len(largest) else ""
            step.shown = f"{len(typed)} are typed{first}"

    async def _update(self) -> None:
        async with self._step("update", len(self._ids)) as step:
            records = await self._all(
                self._client.storage.update(
                    key,
                    {"license": None},
                    increment={"demo.reads": 1},
                    append={"demo.tags": ["seen"]},
                    collection=COLLECTION,
                )
                for key in self._ids
            )
            _expect(all(record.version == 2 for record in records), "every version is 2")
            step.shown = "merge patch, increment and append, atomically; version 2"

    async def _page(self) -> None:
        limit = max(1, len(self._ids) // 8)
        pages = self._client.storage.list(collection=COLLECTION, limit=limit).pages()
        async with self._step("page", -(-len(self._ids) // limit)) as step:
            seen: list[object] = []
            async for page in pages:
                seen += [document["id"] for document in page]
                self._show.advance()
            _expect(seen == self._ids, "paging finds every record once, in order")
            step.shown = f"{len(seen)} records by cursor, {limit} a page"

    async def _count(self) -> None:
        storage = self._client.storage
        async with self._step("count", 2) as step:
            total = await self._one(storage.count(collection=COLLECTION))
            filters = {"demo.tags": {"$contains": "seen"}}
            tagged = await self._one(storage.count(filters, collection=COLLECTION))
            _expect(total == tagged == len(self._ids), "all are counted")
            step.shown = f"{total} records"

    async def _delete(self) -> None:
        doomed = self._ids[::4]
        async with self._step("delete", len(doomed) + 1) as step:
            await self._all(
                self._client.storage.delete(key, collection=COLLECTION) for key in doomed
            )
            left = await self._one(self._client.storage.count(collection=COLLECTION))
            _expect(left == len(self._ids) - len(doomed), "the deleted are gone")
            step.shown = f"{left} records are left"

    async def _batch(self) -> None:
        storage = self._client.storage
        async with self._step("batch", 2) as step:
            batch = storage.batch().save({"title": "Water the kelp", "done": False})
            outcomes = await self._one(batch.update(1, {"done": True}).get(1).run())
            _expect(all(outcome.ok for outcome in outcomes), "a batch is all")
            failing = storage.batch().save({"title": "Never kept"}).delete(99)
            step.shown = f"all or nothing: {await self._error(failing.run())} undid a save"

    async def _repeat(self) -> None:
        storage = self._client.storage
        async with self._step("repeat", 2) as step:
            task: _Document = {"title": "Once only"}
            first = await self._one(storage.save(task, message_id="demo-once"))
            again = await self._one(storage.save(task, message_id="demo-once"))
            same = again.replayed and again.id == first.id
            _expect(same, "a duplicate gets the first answer")
            step.shown = f"the same message twice: record {first.id} once, replayed"

    async def _refuse(self) -> None:
        storage = self._client.storage
        async with self._step("refuse", 2) as step:
            told = await self._error(self._asked({"name": {"$regex": "^h"}}))
            missing = await self._error(storage.get(self._ids[0], collection=COLLECTION))
            step.shown = f"{told}; of a deleted record {missing}"

    async def _asked(self, filters: dict[str, object]) -> object:
        return await self._client.storage.query(filters, collection=COLLECTION)

    # -- doing and showing ---------------------------------------------------------------------

    @asynccontextmanager
    async def _step(self, name: str, messages: int) -> AsyncIterator[Step]:
        step = Step(name, messages)
        self._show.begin(name, messages)
        started = perf_counter()
        yield step
        step.seconds = perf_counter() - started
        self.steps.append(step)

    async def _all(self, requests: Iterable[Awaitable[T]]) -> list[T]:
        """All at once: the client sends what is requested in the same moment together."""
        return await asyncio.gather(*(self._one(request) for request in requests))

    async def _one(self, request: Awaitable[T]) -> T:
        answer = await request
        self._show.advance()
        return answer

    async def _error(self, request: Awaitable[object]) -> str:
        """The type of the error that a request has to end in."""
        try:
            await request
        except HoldfastError as error:
            self._show.advance()
            return error.error_type
        raise DemoError("a request succeeded that had to be refused")


def _expect(holds: bool, what: str) -> None:
    if not holds:
        raise DemoError(f"it does not hold that {what}")
