"""Locks beside saves."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import ClassVar

from benchmarks.agent import storage_agent
from benchmarks.environment import IN_FLIGHT, Bench
from benchmarks.holdfast import migrated, saving_client
from benchmarks.load import Load, alternating_rates
from benchmarks.model import Case, Goal, Measure, Sample, Series
from holdfast_protocol import AgentClient

_NAMES = 10_000


class Locks(Case):
    """A lock is acquired and released, both answered, on ten thousand names in turn; a save is
    one message, so a pair at the rate of a save would be twice its messages."""

    name = "locks"
    title = f"lock_acquire and lock_release, {IN_FLIGHT} in flight"
    series: ClassVar = {
        "save": Series("storage_save through AgentClient, PostgreSQL", "/s"),
        "lock": Series("lock_acquire and lock_release, both", "/s"),
    }
    goals = (Goal("lock", "at least", 0.5, ("save",)),)

    @asynccontextmanager
    async def prepare(self, bench: Bench) -> AsyncIterator[Measure]:
        async with AsyncExitStack() as stack:
            enter = stack.enter_async_context
            url = bench.amqp_url
            database = await migrated(await enter(bench.database()))
            await enter(storage_agent(url, database))
            client = await enter(AgentClient(url, sender="locker"))

            async def lock(number: int) -> object:
                name = f"basin-{number % _NAMES}"
                held = await client.locks.acquire(name, lease_seconds=60)
                return await client.locks.release(name, held.token)

            loads = {
                "save": Load(await enter(saving_client(url)), IN_FLIGHT),
                "lock": Load(lock, IN_FLIGHT),
            }

            async def measure() -> Sample:
                return await alternating_rates(
                    loads,
                    seconds=bench.options.seconds,
                    warm_seconds=bench.options.warm_seconds,
                    stage=bench.stage,
                )

            yield measure
