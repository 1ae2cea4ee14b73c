"""Subscriptions, cancellations and locks behave alike over every bus."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from holdfast_protocol import AgentClient, BusClosedError, ConflictError, Subscription
from holdfast_protocol.bus.contract import Announcement, Broadcast, Bus
from holdfast_protocol.control import Cancel, parse_control
from tests.conformance.bus.harness import Harness, soon
from tests.unit.client.ledger import Ledger
from tests.unit.client.lockkeeper import LockKeeper
from tests.unit.client.responder import responding


@asynccontextmanager
async def subscribed(
    harness: Harness,
    ledger: Ledger,
    pattern: str = "#",
    *,
    after: int | None = None,
    max_waiting: int = 10_000,
) -> AsyncIterator[tuple[Bus, Subscription]]:
    """A subscription, and the bus of the agent that publishes."""
    async with (
        harness.bus() as agent_bus,
        harness.bus() as bus,
        responding(agent_bus, ledger.script),
        AgentClient(bus=bus, sender="tester") as client,
        client.subscribe(pattern, after=after, max_waiting=max_waiting) as events,
    ):
        yield agent_bus, events


async def push(bus: Bus, ledger: Ledger, collection: str = "tasks", times: int = 1) -> None:
    body = ledger.change(collection, times)
    await soon(bus.announce([Announcement("changes", collection, body)]))


async def sequences(events: Subscription, count: int) -> list[tuple[str, int]]:
    found = [await soon(anext(events)) for _ in range(count)]
    return [(event.collection, event.sequence) for event in found]


async def test_what_is_pushed_arrives(harness: Harness) -> None:
    ledger = Ledger()
    ledger.change(times=5)
    async with subscribed(harness, ledger) as (bus, events):
        await push(bus, ledger, "tasks", 3)
        assert await sequences(events, 3) == [("tasks", 6), ("tasks", 7), ("tasks", 8)]
        assert ledger.fetches == 0
        await push(bus, ledger, "new")
        await push(bus, ledger, "tasks")
        assert sorted(await sequences(events, 2)) == [("new", 1), ("tasks", 9)]
        assert ledger.fetches == 1, "the store was asked about the new collection only"


async def test_one_kind_of_one_collection(harness: Harness) -> None:
    ledger = Ledger()
    async with subscribed(harness, ledger, "tasks.deleted") as (bus, events):
        for _ in range(6):
            await push(bus, ledger, "users")
            await push(bus, ledger, "tasks")
        assert await sequences(events, 2) == [("tasks", 2), ("tasks", 5)]


async def test_the_past_and_a_gap_are_fetched(harness: Harness) -> None:
    ledger = Ledger()
    ledger.change(times=20)
    async with subscribed(harness, ledger, "tasks.*", after=17) as (bus, events):
        assert await sequences(events, 3) == [("tasks", n) for n in (18, 19, 20)]
        ledger.change(times=5)
        await push(bus, ledger)
        assert await sequences(events, 6) == [("tasks", n) for n in range(21, 27)]


async def test_what_waits_is_bounded(harness: Harness) -> None:
    ledger = Ledger()
    async with subscribed(harness, ledger, "tasks.*", max_waiting=10) as (bus, events):
        for _ in range(100):
            await push(bus, ledger, "tasks", 3)
        assert await sequences(events, 300) == [("tasks", n + 1) for n in range(300)]


async def test_leaving_the_client_ends_it(harness: Harness) -> None:
    ledger = Ledger()
    async with (
        harness.bus() as agent_bus,
        harness.bus() as bus,
        responding(agent_bus, ledger.script),
    ):
        async with AgentClient(bus=bus) as client:
            events = await client.subscribe().__aenter__()
            waiting = asyncio.ensure_future(anext(events))
        with pytest.raises(BusClosedError):
            await soon(waiting)


async def test_a_cancellation_reaches_every_process(harness: Harness) -> None:
    heard: asyncio.Queue[Broadcast] = asyncio.Queue()
    async with harness.bus() as one, harness.bus() as other, harness.bus() as bus:
        for agent_bus in (one, other):
            await agent_bus.listen("control", ["storage.#"], heard.put_nowait)
        async with AgentClient(bus=bus, sender="tester") as client:
            assert await soon(client.cancel("m-1"))
            assert not await soon(client.cancel("m-1", agent="nobody"))
        for _ in range(2):
            told = await soon(heard.get())
            assert parse_control(told.body, told.user_id) == Cancel("m-1", "tester")


async def test_a_lock_is_held_by_one_at_a_time(harness: Harness) -> None:
    keeper = LockKeeper()
    inside: list[int] = []
    async with (
        harness.bus() as agent_bus,
        harness.bus() as bus,
        responding(agent_bus, keeper.script),
        AgentClient(bus=bus) as client,
    ):

        async def work(n: int) -> int:
            async with client.lock("x", lease_seconds=60) as held:
                inside.append(n)
                assert inside == [n]
                with pytest.raises(ConflictError):
                    await client.lock("x", wait=0).__aenter__()
                inside.remove(n)
                return held.token

        tokens = await soon(asyncio.gather(*[work(n) for n in range(5)]))
        assert sorted(tokens) == [1, 2, 3, 4, 5]
        assert keeper.held == {}
