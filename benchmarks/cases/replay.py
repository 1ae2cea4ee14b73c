"""Replaying a message log on the memory backend."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

from benchmarks.documents import task
from benchmarks.environment import Bench
from benchmarks.model import Case, Goal, Measure, Sample, Series
from holdfast_agents import embedded
from holdfast_agents.journal import FileJournal
from holdfast_agents.replay import Comparison, Replayer, open_store_target, read_entries
from holdfast_agents.wiring import ServiceOptions
from holdfast_protocol import AgentClient

_RECORDS = 10_000


class Replay(Case):
    """A log of saves, updates, gets and deletes, recorded from an embedded service: read from its
    file, executed on a fresh memory backend, every answer compared."""

    name = "replay"
    title = "holdfast replay --compare on the memory backend"
    series: ClassVar = {"replay": Series("messages of the log, all compared", "/s")}
    goals = (Goal("replay", "at least", 10_000),)

    @asynccontextmanager
    async def prepare(self, bench: Bench) -> AsyncIterator[Measure]:
        with TemporaryDirectory() as folder:
            log = Path(folder) / "journal.jsonl"
            async with embedded(options=ServiceOptions(journal=FileJournal(log))) as client:
                bench.stage("recording")
                await _work(client, _RECORDS // 5 if bench.options.quick else _RECORDS)

            async def measure() -> Sample:
                bench.stage("replaying")
                async with open_store_target("memory://") as target:
                    with log.open("rb") as lines:
                        replayer = Replayer(target, comparison=Comparison())
                        report = await replayer.run(read_entries(lines))
                if not report.ok:
                    raise RuntimeError(f"the replay differs: {report.samples[:1]}")
                return {"replay": report.rate}

            yield measure


async def _work(client: AgentClient, records: int) -> None:
    storage = client.storage
    for number in range(1, records + 1):
        await storage.save(task(number))
        await storage.update(number, changes={"completed": True}, increment={"priority": 1})
        await storage.get(number)
        if number % 10 == 0:
            await storage.delete(number)
