"""Whether the agent's memory grows with what it has stored."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import ClassVar

from benchmarks.agent import storage_agent
from benchmarks.environment import IN_FLIGHT, Bench
from benchmarks.holdfast import migrated, saving_client
from benchmarks.load import total_rate
from benchmarks.model import Case, Goal, Measure, Sample, Series

_FIRST, _ALL = 100_000, 1_000_000
_QUICK_FIRST, _QUICK_ALL = 10_000, 50_000


class Growth(Case):
    """A million saves through the bus into PostgreSQL, by one agent process.

    Its resident memory is read after 100,000 and at the end, while it serves.
    """

    name = "growth"
    title = "resident memory of the agent over 1,000,000 saves through the bus"
    repeated = False
    series: ClassVar = {
        "at the end": Series("resident memory at the end", "MiB"),
        "after a tenth": Series("resident memory after 100,000 saves", "MiB"),
        "at the start": Series("resident memory before the first save", "MiB"),
        "rate": Series("saves on the way", "/s"),
    }
    goals = (
        Goal("at the end", "at most", 1.1, ("after a tenth",)),
        Goal("at the end", "at most", 200),
    )

    @asynccontextmanager
    async def prepare(self, bench: Bench) -> AsyncIterator[Measure]:
        quick = bench.options.quick
        first, total = (_QUICK_FIRST, _QUICK_ALL) if quick else (_FIRST, _ALL)
        if quick:
            bench.note(f"--quick: only {total:,} saves, the first reading after {first:,}")
        async with (
            bench.database() as database,
            storage_agent(bench.amqp_url, await migrated(database)) as agent,
            saving_client(bench.amqp_url) as save,
        ):

            async def measure() -> Sample:
                sample = {"at the start": agent.resident_mib()}
                bench.stage(f"the first {first:,}")
                await total_rate(save, in_flight=IN_FLIGHT, total=first)
                sample["after a tenth"] = agent.resident_mib()
                bench.stage(f"up to {total:,}")
                sample["rate"] = await total_rate(save, in_flight=IN_FLIGHT, total=total - first)
                sample["at the end"] = agent.resident_mib()
                return sample

            yield measure
