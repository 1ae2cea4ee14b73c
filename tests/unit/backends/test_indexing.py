"""Building indexes: what may happen between two chunks."""

from collections.abc import AsyncIterator

import pytest

from holdfast_backends.backend import StoreBackend
from holdfast_backends.filters import parse_filter
from holdfast_backends.indexing import Progress, build_chunk
from holdfast_backends.operations import Find, Index, Save, parse_sort
from holdfast_backends.outcomes import IndexState, Page
from holdfast_backends.sql.sqlite_store import SqliteStore
from holdfast_backends.store import Store


class ByHand(StoreBackend):
    """A backend that builds no index by itself."""

    def _build(self, collection: str) -> None:
        """Left to the test."""


@pytest.fixture
async def store() -> AsyncIterator[SqliteStore]:
    store = SqliteStore("sqlite://")
    yield store


async def step(store: Store, progress: Progress | None) -> Progress | None:
    """Build one chunk."""
    assert progress is not None
    async with store.write(["c"]) as unit:
        return await build_chunk(unit, "c", progress)


async def test_an_index_dropped_and_declared_again_while_it_was_built_is_built_anew(
    store: SqliteStore,
) -> None:
    async with ByHand(store) as backend:
        await backend.execute([Save({"x": number}, "c") for number in range(10)])
        await backend.execute([Index("c", ("x",))])
        progress = await step(store, Progress(rows=5))
        await backend.execute([Index("c", ("y",))])
        await backend.execute([Save({"id": 5, "x": 4, "y": 1}, "c")])
        await backend.execute([Index("c", ("x",))])
        while progress is not None:
            progress = await step(store, progress)
        (state,) = await backend.execute([Index("c")])
        (page,) = await backend.execute([Find("c", parse_filter({"x": 4}), scope="query")])
        (all_,) = await backend.execute([Find("c", sort=parse_sort([["x", "asc"]]))])
    assert isinstance(state, IndexState)
    assert state.ready
    assert isinstance(page, Page)
    assert isinstance(all_, Page)
    assert [record.id for record in page.records] == [5]
    assert len(all_.records) == 10


async def test_a_path_declared_twice_is_one_index(store: SqliteStore) -> None:
    async with ByHand(store) as backend:
        states = []
        for _ in range(3):
            states += await backend.execute([Index("c", ("a",) * 16)])
            await backend.execute([Save({"a": 1}, "c")])
        head = (await store.heads())["c"]
    assert all(isinstance(state, IndexState) for state in states)
    assert [getattr(state, "paths", None) for state in states] == [("a",) * 16] * 3
    assert [slot.number for slot in head.slots] == [0]
