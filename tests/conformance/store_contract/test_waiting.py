"""Who waits for others decides what to do when its turn has come, not before."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from holdfast_backends.errors import DeadlineError
from holdfast_backends.executor import Executor
from holdfast_backends.identity import Identity
from holdfast_backends.operations import Save
from holdfast_backends.outcomes import Failed, Saved
from holdfast_backends.store import Changes, Head, Store, Wanted
from holdfast_backends.testing.harness import MICROSECONDS, ManualClock
from tests.conformance.store_contract.factories import MakeStore
from tests.conformance.store_contract.words import TASKS, contents, outbox

POSTGRES = pytest.param("postgres", marks=pytest.mark.postgres)
SECONDS = 0.05  # how long a test looks on while nothing must happen


@asynccontextmanager
async def _held(store: Store, collections: Sequence[str]) -> AsyncIterator[None]:
    """A unit of each of these collections, open side by side."""
    async with AsyncExitStack() as stack:
        for collection in collections:
            unit = await stack.enter_async_context(store.write([collection]))
            await unit.load(Wanted([collection], [], []))
        yield


@asynccontextmanager
async def _read(store: Store, count: int) -> AsyncIterator[None]:
    """So many snapshots, open side by side."""
    async with AsyncExitStack() as stack:
        for _number in range(count):
            snapshot = await stack.enter_async_context(store.read())
            await snapshot.load(Wanted([TASKS], [], []))
        yield


def _save(clock: ManualClock, seconds: float) -> Save:
    """A new record that expires in one second, if it is saved within so many."""
    deadline = clock() + round(seconds * MICROSECONDS)
    return Save({"n": 1}, TASKS, ttl_seconds=1.0, identity=Identity("me", "m", b"d", deadline))


# Held is the collection itself, from a unit; from an append of PostgreSQL, which waits for nobody
# who holds it, all turns of writers.
@pytest.mark.parametrize(
    ("make_store", "held", "head_is_known"),
    [
        pytest.param("memory", [TASKS], False),
        pytest.param("sqlite", [TASKS], False),
        pytest.param("postgres", [TASKS], False, marks=pytest.mark.postgres),
        pytest.param("postgres", ["a", "b"], True, marks=pytest.mark.postgres),
        pytest.param("redis", [TASKS], False, marks=pytest.mark.redis),
    ],
    indirect=["make_store"],
)
@pytest.mark.parametrize("in_time", [False, True])
async def test_a_create_is_of_the_instant_at_which_its_turn_comes(
    store: Store, held: list[str], head_is_known: bool, in_time: bool
) -> None:
    clock = ManualClock()
    executor = Executor(store, clock)
    await executor.execute([Save({"n": 0}, TASKS)])
    if not head_is_known:
        executor = Executor(store, clock)
    save = _save(clock, 20.0 if in_time else 5.0)
    async with _held(store, held):
        task = asyncio.create_task(executor.execute([save]))
        assert not (await asyncio.wait([task], timeout=SECONDS))[0]
        clock.advance(10)
    (outcome,) = await task
    if in_time:
        assert isinstance(outcome, Saved)
        assert outcome.record.created_at == clock()
        assert outcome.record.expires_at == clock() + MICROSECONDS
        assert [event.at for event in await outbox(store)][1:] == [clock()]
    else:
        assert isinstance(outcome, Failed)
        assert isinstance(outcome.error, DeadlineError)
        assert len(await contents(store)) == len(await outbox(store)) == 1


@pytest.mark.parametrize("make_store", [POSTGRES], indirect=True)
@pytest.mark.parametrize("waits_for", ["a turn", "a connection"])
async def test_postgres_has_an_append_prepared_once_it_can_send_it(
    make_store: MakeStore, waits_for: str
) -> None:
    """The pool has four connections, of which writers take two at most."""
    prepared: list[bool] = []

    def prepare() -> Changes:
        prepared.append(True)
        return Changes()

    async with make_store() as store:
        busy = _held(store, ["a", "b"]) if waits_for == "a turn" else _read(store, 4)
        async with busy:
            task = asyncio.create_task(store.append(TASKS, Head(1), prepare))
            assert not (await asyncio.wait([task], timeout=SECONDS))[0]
            assert not prepared
        assert not await task
        assert prepared == [True]
