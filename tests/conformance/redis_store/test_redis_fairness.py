"""Several processes at the same collection: everybody comes through, and nothing is lost."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from holdfast_backends.encoding import integer_key
from holdfast_backends.errors import UnavailableError
from holdfast_backends.redis_store import RedisStore
from holdfast_backends.redis_store.leases import LEASE_SECONDS
from holdfast_backends.redis_store.turns import Turns
from holdfast_backends.store import Changes, CommitConflictError, Row, RowChange, Span, Wanted
from holdfast_backends.values import decode_document
from tests.conformance.redis_store.redis_tools import contents, keep, persist, row

pytestmark = pytest.mark.redis

PLACE = ("tasks", integer_key(1))


@pytest_asyncio.fixture
async def stores(redis_url: str, fresh_redis_namespace: str) -> AsyncIterator[list[RedisStore]]:
    """Four stores on one namespace, as four processes have them."""
    async with AsyncExitStack() as stack:
        opened = [RedisStore(redis_url, namespace=fresh_redis_namespace) for _ in range(4)]
        for store in opened:
            await stack.enter_async_context(store)
        yield opened


async def increment(store: RedisStore, pause: float = 0.0) -> None:
    """Read a number and write the next one, in one unit."""
    async with store.write(["tasks"]) as unit:
        loaded = await unit.load(Wanted(["tasks"], [PLACE], []))
        before = loaded.rows.get(PLACE)
        count = 0 if before is None else decode_document(before.document or b"{}")["n"]
        assert isinstance(count, int)
        await asyncio.sleep(pause)
        after = row(1, {"n": count + 1}, version=count + 1)
        await unit.commit(Changes(rows={PLACE: RowChange(before, after)}))


async def test_coroutines_of_one_process_never_conflict(stores: list[RedisStore]) -> None:
    tries = await asyncio.gather(*(persist(lambda: increment(stores[0])) for _ in range(200)))
    assert {count for _, count in tries} == {1}
    assert (await contents(stores[0]))[0].version == 200


async def test_processes_lose_no_update_and_all_come_through(stores: list[RedisStore]) -> None:
    async def work(store: RedisStore) -> int:
        return max([(await persist(lambda: increment(store)))[1] for _ in range(100)])

    worst = await asyncio.gather(*(work(store) for store in stores for _ in range(2)))
    assert (await contents(stores[0]))[0].version == 800
    assert max(worst) <= 10


async def test_a_slow_process_is_not_starved(stores: list[RedisStore]) -> None:
    slow, *hot = stores
    ended = asyncio.Event()

    async def hammer(store: RedisStore) -> None:
        while not ended.is_set():
            await persist(lambda: increment(store))

    hammers = [asyncio.create_task(hammer(store)) for store in hot]
    try:
        for _ in range(5):
            # Fifty times as long between reading and writing as the others need for all.
            _, count = await persist(lambda: increment(slow, 0.05), most=10)
            assert count <= 4
    finally:
        ended.set()
        await asyncio.gather(*hammers)


async def test_a_read_of_many_pages_is_one_state_and_not_starved(
    stores: list[RedisStore],
) -> None:
    reader, *writers = stores
    numbers = range(1, 41)
    await keep(reader, *(row(number, {"n": 100}) for number in numbers))
    ended = asyncio.Event()

    async def move(store: RedisStore, at: int) -> None:
        """Take one from a record and give it to another: their sum stays."""
        places = [("tasks", integer_key(1 + (at * step) % 40)) for step in (1, 7)]
        if places[0] == places[1]:
            return
        async with store.write(["tasks"]) as unit:
            loaded = await unit.load(Wanted([], places, []))
            changes = Changes()
            for place, amount in zip(places, (-1, 1), strict=True):
                before = loaded.rows[place]
                held = decode_document(before.document or b"{}")
                number, count = held["id"], held["n"]
                assert isinstance(number, int)
                assert isinstance(count, int)
                after = row(number, {"n": count + amount}, version=before.version + 1)
                changes.rows[place] = RowChange(before, after)
            await unit.commit(changes)

    async def hammer(store: RedisStore, at: int) -> None:
        steps = itertools.count(at)
        while not ended.is_set():
            await persist(lambda: move(store, next(steps)))

    async def total() -> int:
        found: list[Row] = []
        after: tuple[bytes, bytes] | None = None
        async with reader.read() as snapshot:
            while rows := await snapshot.scan(Span("tasks", after=after), 3):
                found += rows
                after = (b"", rows[-1].key)
        assert len(found) == 40
        counts = [decode_document(one.document or b"{}")["n"] for one in found]
        return sum(count for count in counts if isinstance(count, int))

    # One writer in the reader's own process, too: it must wait its turn as well.
    hammers = [asyncio.create_task(hammer(one, at)) for at, one in enumerate([reader, *writers])]
    try:
        for _ in range(5):
            result, count = await persist(total, most=10)
            assert result == 4_000
            assert count <= 4
    finally:
        ended.set()
        await asyncio.gather(*hammers)


async def test_a_dead_holders_lease_ends_by_itself(stores: list[RedisStore]) -> None:
    store = stores[0]
    lease = store._layout.lease(b"tasks")
    await store._client.driver.set(lease, b"somebody", px=int(LEASE_SECONDS * 1000))
    with pytest.raises(CommitConflictError):
        await increment(store)
    async with asyncio.timeout(LEASE_SECONDS + 5):
        _, count = await persist(lambda: increment(store))
    assert count == 1
    assert not await store._client.driver.exists(lease)


async def test_a_lost_lease_costs_a_conflict_and_no_update(stores: list[RedisStore]) -> None:
    one, other, *_ = stores

    async def overtaken() -> None:
        async with one.write(["tasks"]) as unit:
            await unit.load(Wanted(["tasks"], [PLACE], []))
            await one._client.driver.delete(one._layout.lease(b"tasks"))
            await asyncio.create_task(increment(other))
            await unit.commit(Changes(rows={PLACE: RowChange(None, row(1, {"n": 99}))}))

    for _ in range(5):  # from the third time on it holds a lease
        with pytest.raises(CommitConflictError):
            await overtaken()
    assert (await contents(one))[0].version == 5


# -- the queue inside a process ----------------------------------------------------------------


async def test_turns_come_in_order_and_leave_nothing() -> None:
    turns, order = Turns(5.0), list[int]()

    async def take(number: int) -> None:
        async with turns.on(["a"]):
            order.append(number)
            await asyncio.sleep(0)

    await asyncio.gather(*(take(number) for number in range(20)))
    assert order == list(range(20))
    assert not turns._queues


async def test_everything_waits_for_all_and_all_wait_for_it() -> None:
    turns, seen = Turns(5.0), list[str]()

    async def take(name: str) -> None:
        async with turns.on([name]):
            seen.append(f"+{name}")
            await asyncio.sleep(0.01)
            seen.append(f"-{name}")

    async def take_all() -> None:
        async with turns.on_everything():
            seen.append("+*")
            await asyncio.sleep(0.01)
            seen.append("-*")

    await asyncio.gather(take("a"), take("b"), take_all(), take("c"))
    assert seen == ["+a", "+b", "-a", "-b", "+*", "-*", "+c", "-c"]


async def test_waiting_for_a_turn_has_an_end() -> None:
    turns = Turns(0.05)
    async with turns.on(["a"]):
        with pytest.raises(UnavailableError):
            async with turns.on(["a"]):
                pass
        with pytest.raises(UnavailableError):
            async with turns.on_everything():
                pass
        async with turns.on(["b"]):
            pass
    async with turns.on_everything():
        pass
