"""Forgotten scripts, killed connections, lost answers, cancelled callers: the store goes on."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from holdfast_backends.encoding import integer_key
from holdfast_backends.errors import StorageError, UnavailableError
from holdfast_backends.redis_store import RedisStore
from holdfast_backends.store import Changes, CommitConflictError, Row, RowChange, Wanted
from tests.conformance.redis_store.redis_tools import (
    LossyWire,
    contents,
    keep,
    put,
    redis_server,
    row,
)

pytestmark = pytest.mark.redis


@pytest_asyncio.fixture
async def pair(
    redis_url: str, fresh_redis_namespace: str
) -> AsyncIterator[tuple[RedisStore, RedisStore]]:
    """Two stores on the same namespace, as two processes have them."""
    one = RedisStore(redis_url, namespace=fresh_redis_namespace)
    other = RedisStore(redis_url, namespace=fresh_redis_namespace)
    async with one, other:
        yield one, other


async def test_a_server_that_forgot_the_scripts_learns_them_again(tmp_path: Path) -> None:
    async with redis_server(tmp_path) as server, RedisStore(server.url) as store:
        await keep(store, row(1, {}))
        async with server.client() as client:
            await client.script_flush()
            await keep(store, row(2, {}))
            await client.script_flush()
            assert len(await contents(store)) == 2


async def test_killed_connections_are_replaced(tmp_path: Path) -> None:
    async with redis_server(tmp_path) as server, RedisStore(server.url) as store:
        await keep(store, row(1, {}))
        async with server.client() as client:
            for number in range(2, 12):
                await client.execute_command(  # type: ignore[no-untyped-call]
                    "CLIENT KILL", "TYPE", "normal", "SKIPME", "yes"
                )
                try:
                    await keep(store, row(number, {}))
                except UnavailableError:  # the news of the kill had not come yet
                    await keep(store, row(number, {}))
        assert len(await contents(store)) == 11


async def test_a_lost_answer_is_unknown_and_never_a_conflict(
    redis_url: str, fresh_redis_namespace: str
) -> None:
    parts = urlsplit(redis_url)
    async with LossyWire().to(parts.hostname or "", parts.port or 6379) as wire:
        account, _, _ = parts.netloc.rpartition("@")
        far = parts._replace(netloc=f"{account}@127.0.0.1:{wire.port}").geturl()
        async with RedisStore(far, namespace=fresh_redis_namespace) as store:
            await keep(store, row(2, {}))  # from now on the server knows the script
            async with store.write(["tasks"]) as unit:
                await unit.load(Wanted(["tasks"], [], []))
                wire.is_lossy = True
                changes = Changes()
                changes.rows["tasks", integer_key(1)] = RowChange(None, row(1, {}))
                with pytest.raises(UnavailableError):
                    await unit.commit(changes)
            assert wire.swallowed == 1  # it was sent once, and not again behind our back
            wire.is_lossy = False
            assert await contents(store) == [row(1, {}), row(2, {})]


async def test_cancelled_callers_leave_nothing_behind(
    pair: tuple[RedisStore, RedisStore],
) -> None:
    store, other = pair
    chance = random.Random(7)

    async def work(number: int) -> None:
        async with store.write(["tasks"]) as unit:
            await put(unit, [row(number, {"text": "x" * 1_000}), row(number + 1_000, {})])

    for round_ in range(20):
        tasks = [asyncio.create_task(work(1 + round_ * 10 + at)) for at in range(10)]
        for task in tasks:
            await asyncio.sleep(chance.uniform(0, 0.002))
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            # A cancelled commit may land later, in the next one's way: that is a conflict.
            assert result is None or isinstance(
                result, (asyncio.CancelledError, CommitConflictError)
            )
    await keep(other, row(5_000, {}))
    keys = {int.from_bytes(one.key[1:]) for one in await contents(store)}
    assert 5_000 in keys
    assert all((key + 1_000 in keys) == (key in keys) for key in range(1, 201))
    pool = store._client.driver.connection_pool
    assert not pool._get_in_use_connections()


async def test_a_closed_store_says_so(redis_url: str, fresh_redis_namespace: str) -> None:
    store = RedisStore(redis_url, namespace=fresh_redis_namespace)
    with pytest.raises(StorageError, match="not open"):
        await store.heads()
    async with store:
        assert await store.heads() == {}
    with pytest.raises(StorageError, match="not open"):
        async with store.read():
            pass


async def test_namespaces_do_not_meet(redis_url: str, fresh_redis_namespace: str) -> None:
    one = RedisStore(redis_url, namespace=fresh_redis_namespace)
    other = RedisStore(f"{redis_url}?namespace={fresh_redis_namespace}.other")
    async with one, other:
        await keep(one, Row(integer_key(1), 1, b"{}", 1, 1))
        assert await contents(other) == []
