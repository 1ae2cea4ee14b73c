"""The queries of the case `queries`, and how Holdfast is asked them."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final, Protocol, TypeAlias

from holdfast_backends import Backend
from holdfast_backends.filters import parse_filter
from holdfast_backends.operations import Find, Index, Operation, Save, parse_sort
from holdfast_backends.outcomes import Failed, IndexState, Outcome, Page

from .documents import OWNERS, task

PAGE: Final = 100
INDEXED: Final = ("owner.name", "rank")
DEEP: Final = 0.9
"""Where the deep page begins, as a part of all documents."""

_BATCH = 1_000
_READY_SECONDS = 60.0
_WALK = 10_000
_SPREAD = 611_953  # a prime: ranks are a permutation of the ids' order

Documents: TypeAlias = list[dict[str, Any]]


class Queries(Protocol):
    """One side of the comparison."""

    async def ask(self, kind: str, number: int) -> Documents:
        """One page of the kind; `number` chooses one of many like it."""
        ...


def document(number: int, total: int) -> dict[str, Any]:
    """The document with the id `number + 1`. Every rank from 0 to `total - 1` occurs once, and
    every owner has a hundred documents."""
    owner = {"name": owner_name(number, total), "team": "tide pool", "shift": number % 4}
    return {**task(number), "rank": number * _SPREAD % total, "owner": owner}


def owner_name(number: int, total: int) -> str:
    """An owner's name."""
    return f"agent-{number % (OWNERS * total // 1_000_000)}"


def range_of(number: int, total: int) -> tuple[int, int]:
    """From which rank (inclusive) to which (exclusive)."""
    first = number % (total - PAGE)
    return first, first + PAGE


class HoldfastQueries:
    """Asks a backend."""

    def __init__(self, backend: Backend, total: int) -> None:
        self._backend = backend
        self._total = total
        self._deep_cursor: str | None = None

    async def load(self) -> None:
        """Declare the indexes, wait until they are ready, and save all documents."""
        await self._execute([Index(paths=INDEXED)])
        async with asyncio.timeout(_READY_SECONDS):
            while not await self._is_indexed():  # noqa: ASYNC110 — a backend tells nobody
                await asyncio.sleep(0.05)
        for first in range(0, self._total, _BATCH):
            numbers = range(first, first + _BATCH)
            await self._execute([Save(document(number, self._total)) for number in numbers])

    async def _is_indexed(self) -> bool:
        state = (await self._execute([Index()]))[0]
        return isinstance(state, IndexState) and state.ready

    async def _execute(self, operations: Sequence[Operation]) -> list[Outcome]:
        outcomes = await self._backend.execute(operations)
        for outcome in outcomes:
            if isinstance(outcome, Failed):
                raise outcome.error
        return outcomes

    async def walk_to_the_deep_page(self) -> None:
        """Page to where the deep page begins, in large pages."""
        for _ in range(round(self._total * DEEP) // _WALK):
            page = await self._page(_by_rank(_WALK, self._deep_cursor, fields=()))
            self._deep_cursor = page.next_cursor

    async def ask(self, kind: str, number: int) -> Documents:
        """As `Queries.ask`."""
        page = await self._page(self._find(kind, number))
        return [record.value for record in page.records]

    def _find(self, kind: str, number: int) -> Find:
        match kind:
            case "equality":
                filters = {"owner.name": owner_name(number, self._total)}
                return Find(filter=parse_filter(filters), limit=PAGE)
            case "range":
                first, end = range_of(number, self._total)
                limits = parse_filter({"rank": {"$gte": first, "$lt": end}})
                return Find(filter=limits, limit=PAGE)
            case "sorted page":
                return _by_rank(PAGE, None)
            case _:
                return _by_rank(PAGE, self._deep_cursor)

    async def _page(self, find: Find) -> Page:
        outcome = (await self._execute([find]))[0]
        if not isinstance(outcome, Page):
            raise TypeError("a find is answered with a page")
        return outcome


def _by_rank(limit: int, cursor: str | None, fields: Sequence[str] | None = None) -> Find:
    kept = None if fields is None else tuple((name,) for name in fields)
    return Find(sort=parse_sort([["rank", "asc"]]), fields=kept, limit=limit, cursor=cursor)
