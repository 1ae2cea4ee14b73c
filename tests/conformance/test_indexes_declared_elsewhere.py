"""Two processes on one store: an index that the other one declared anew misleads nobody."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from holdfast_backends import Backend
from holdfast_backends.opening import BackendOptions, open_backend
from holdfast_backends.operations import Find, Index, Save, parse_sort
from holdfast_backends.outcomes import IndexState, Page

Pair = tuple[Backend, Backend]


@pytest.fixture(params=["sqlite", "postgres", "redis"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, BackendOptions]:
    """What opens a backend on one and the same empty store."""
    match request.param:
        case "sqlite":
            return f"sqlite:///{tmp_path / 'shared.db'}", BackendOptions()
        case "postgres":
            return request.getfixturevalue("migrated_postgres_url"), BackendOptions()
        case _:
            namespace = request.getfixturevalue("fresh_redis_namespace")
            return request.getfixturevalue("redis_url"), BackendOptions(namespace=namespace)


@pytest.fixture
async def pair(shared: tuple[str, BackendOptions]) -> AsyncIterator[Pair]:
    """Two backends on the same store."""
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(open_backend(*shared))
        second = await stack.enter_async_context(open_backend(*shared))
        yield first, second


async def declare(backend: Backend, *paths: str) -> None:
    """Declare indexes and wait until they are built."""
    state = (await backend.execute([Index("c", paths)]))[0]
    async with asyncio.timeout(10):
        while isinstance(state, IndexState) and not state.ready:
            await asyncio.sleep(0.01)
            state = (await backend.execute([Index("c")]))[0]


async def first_by(backend: Backend, path: str) -> object:
    """The first document in the order of a path."""
    (page,) = await backend.execute([Find("c", sort=parse_sort([[path, "asc"]]), limit=1)])
    assert isinstance(page, Page)
    return page.records[0].value["id"]


async def test_a_slot_that_now_holds_another_path_is_not_read_as_the_old_one(pair: Pair) -> None:
    one, other = pair
    await one.execute([Save({"id": 1, "a": 1, "b": 2}, "c"), Save({"id": 2, "a": 2, "b": 1}, "c")])
    await declare(one, "a")
    assert await first_by(one, "a") == 1
    await declare(other, "b")
    assert await first_by(one, "a") == 1
    assert await first_by(one, "b") == 2


async def test_an_index_that_is_being_built_is_not_read_as_the_ready_one(pair: Pair) -> None:
    one, other = pair
    await one.execute([Save({"n": -number}, "c") for number in range(500)])
    await declare(one, "n")
    assert await first_by(one, "n") == 500
    await declare(other)
    await other.execute([Save({"n": -1_000}, "c")])
    await other.execute([Index("c", ("n",))])
    assert await first_by(one, "n") == 501
