"""The loop: virtual time, an order by the seed, and processes that can be killed and stopped."""

import asyncio
import itertools
from random import Random

import pytest

from tests.simulation.loop import DeadlockError, EndlessError, SimulatedLoop
from tests.simulation.processes import Process


def test_time_jumps() -> None:
    loop = SimulatedLoop(None, 1_000)
    loop.run_until_complete(asyncio.sleep(3_600))
    assert loop.time() == 3_600
    loop.close()


def test_waiting_for_ever_is_noticed() -> None:
    loop = SimulatedLoop(None, 1_000)
    with pytest.raises(DeadlockError):
        loop.run_until_complete(asyncio.Event().wait())
    loop.forget()
    loop.close()


def test_going_on_for_ever_is_noticed() -> None:
    async def spin() -> None:
        for _ in itertools.count():
            await asyncio.sleep(0)

    loop = SimulatedLoop(None, 1_000)
    with pytest.raises(EndlessError):
        loop.run_until_complete(spin())
    loop.forget()
    loop.close()


async def _order_of_tasks() -> list[int]:
    order: list[int] = []

    async def step(number: int) -> None:
        for _ in range(3):
            await asyncio.sleep(0)
            order.append(number)

    async with asyncio.TaskGroup() as group:
        for number in range(4):
            group.create_task(step(number))
    return order


def test_tasks_change_places_by_the_seed_alone() -> None:
    def order(seed: int) -> list[int]:
        loop = SimulatedLoop(Random(seed), 1_000)
        try:
            return loop.run_until_complete(_order_of_tasks())
        finally:
            loop.close()

    assert order(1) == order(1)
    assert len({tuple(order(seed)) for seed in range(20)}) > 10


def test_callbacks_keep_their_order() -> None:
    loop = SimulatedLoop(Random(1), 1_000)
    order: list[int] = []

    async def main() -> None:
        for number in range(20):
            loop.call_soon(order.append, number)
        await asyncio.sleep(0)

    loop.run_until_complete(main())
    assert order == list(range(20))
    loop.close()


def test_a_killed_process_runs_nothing_any_more() -> None:
    loop = SimulatedLoop(None, 1_000)
    said: list[str] = []

    async def victim() -> None:
        try:
            await asyncio.sleep(2)
            said.append("lived")
        finally:
            said.append("said farewell")

    async def main() -> None:
        process = Process("victim")
        loop.create_task(victim(), context=process.context)
        await asyncio.sleep(1)
        loop.kill(process)
        await asyncio.sleep(10)

    loop.run_until_complete(main())
    assert said == []
    loop.forget()
    loop.close()


def test_a_stopped_process_goes_on_later() -> None:
    loop = SimulatedLoop(None, 1_000)
    said: list[float] = []

    async def sleeper() -> None:
        await asyncio.sleep(2)
        said.append(loop.time())

    async def main() -> None:
        process = Process("sleeper")
        task = loop.create_task(sleeper(), context=process.context)
        await asyncio.sleep(1)
        loop.stop_process(process)
        await asyncio.sleep(10)
        assert said == []
        loop.continue_process(process)
        await task

    loop.run_until_complete(main())
    assert said == [11]
    loop.close()
