"""SIGKILL in the middle of load: every acknowledged write is there, and no effect twice."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random

import pytest

from tests.acceptance.load import Load
from tests.acceptance.plain_client import PATIENCE, PlainClient, connected
from tests.acceptance.serving import Serving, serving
from tests.acceptance.stores import DURABLE, temporary_store
from tests.services import unique_name

pytestmark = pytest.mark.amqp

_KILLS = 3


@pytest.fixture(params=DURABLE)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """The URL of an empty store."""
    async with temporary_store(request.param, tmp_path) as url:
        yield url


async def _drive(amqp_url: str, store: str, seed: int, processes: int) -> None:
    random, name = Random(seed), unique_name()
    load, in_flight = Load(seed), 0
    async with AsyncExitStack() as stack:
        running: list[Serving] = [
            await stack.enter_async_context(serving(amqp_url, store, name))
            for _ in range(processes)
        ]
        clients: list[PlainClient] = [
            await stack.enter_async_context(connected(amqp_url, name)) for _ in range(2)
        ]
        await load.prepare(clients[0])
        loading = asyncio.create_task(load.run(clients))
        for number in range(_KILLS):
            await load.answered(random.randrange(100, 500))
            await asyncio.sleep(random.uniform(0, 0.02))  # somewhere within a batch
            victim = running[number % processes]
            await victim.kill()
            in_flight += load.unanswered
            await victim.start()
        await load.answered(100)
        load.enough()
        async with asyncio.timeout(PATIENCE):
            await loading
        assert in_flight, "it is killed in the middle of load"
        assert load.duplicates
        await load.check(clients[0])


async def test_every_acknowledged_write_survives_sigkill_and_happens_once(
    amqp_url: str, store: str
) -> None:
    await _drive(amqp_url, store, seed=20261120, processes=1)


async def test_two_processes_that_compete_and_die_in_turn_do_everything_once(
    amqp_url: str, store: str
) -> None:
    await _drive(amqp_url, store, seed=11, processes=2)
