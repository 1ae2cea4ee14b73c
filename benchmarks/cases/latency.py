"""One request at a time."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from statistics import median
from typing import ClassVar

from benchmarks.agent import storage_agent
from benchmarks.environment import Bench
from benchmarks.holdfast import migrated, saving_client
from benchmarks.load import milliseconds
from benchmarks.model import Case, Goal, Measure, Sample, Series
from benchmarks.peers import raw_echo
from benchmarks.peers.hand_written import single_saver
from benchmarks.peers.plain_client import plain_client
from benchmarks.peers.servers import raw_echo_server


class Latency(Case):
    """The median of one save after the other, beside the least that it consists of.

    A save that is answered after its commit is at least a round trip through the broker and a
    commit: the raw echo, and a single insert with its commit on asyncpg. The three take turns,
    fifty requests at a time.
    """

    name = "latency"
    title = "storage_save, one at a time: the median duration"
    series: ClassVar = {
        "holdfast": Series("storage_save through AgentClient, PostgreSQL, exactly once", "ms"),
        "raw echo": Series("aio-pika echo by hand", "ms"),
        "insert": Series("one asyncpg insert and commit", "ms"),
    }
    goals = (Goal("holdfast", "at most", 1.6, ("raw echo", "insert")),)

    @asynccontextmanager
    async def prepare(self, bench: Bench) -> AsyncIterator[Measure]:
        async with AsyncExitStack() as stack:
            enter = stack.enter_async_context
            url = bench.amqp_url
            database = await migrated(await enter(bench.database()))
            await enter(raw_echo_server(url))
            await enter(storage_agent(url, database))
            requests = {
                "raw echo": (await enter(plain_client(url, raw_echo.QUEUE))).save,
                "insert": await enter(single_saver(database)),
                "holdfast": await enter(saving_client(url)),
            }
            rounds = 4 if bench.options.quick else 10

            async def measure() -> Sample:
                durations: dict[str, list[float]] = {name: [] for name in requests}
                for _ in range(rounds):
                    for name, request in requests.items():
                        bench.stage(name)
                        durations[name] += await milliseconds(request, times=50, warm=5)
                return {name: median(values) for name, values in durations.items()}

            yield measure
