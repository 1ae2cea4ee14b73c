"""Saves through the bus on the other backends: for information, without targets."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

from benchmarks.agent import storage_agent
from benchmarks.environment import IN_FLIGHT, Bench
from benchmarks.holdfast import saving_client
from benchmarks.load import rate
from benchmarks.model import Case, Measure, Sample, Series
from holdfast_backends.sql.migrate import migrate


class Stores(Case):
    """The load of `saves`, with the agent on another backend.

    SQLite commits with `synchronous=FULL`. Redis is as the test server is configured; the
    machine's facts in the JSON tell its `appendfsync`.
    """

    name = "stores"
    title = f"storage_save through AgentClient on other backends, {IN_FLIGHT} in flight"
    series: ClassVar = {
        "memory": Series("memory backend", "/s"),
        "sqlite": Series("SQLite backend, synchronous=FULL", "/s"),
        "redis": Series("Redis backend", "/s"),
    }

    @asynccontextmanager
    async def prepare(self, bench: Bench) -> AsyncIterator[Measure]:
        async def measure() -> Sample:
            sample = {}
            with TemporaryDirectory() as folder:
                file = f"sqlite:///{Path(folder) / 'bench.sqlite3'}"
                await migrate(file)
                for name, url in (("memory", "memory://"), ("sqlite", file)):
                    sample[name] = await self._rate(bench, name, url, f"bench-{name}")
            async with bench.redis_namespace() as namespace:
                sample["redis"] = await self._rate(bench, "redis", bench.redis_url, namespace)
            return sample

        yield measure

    async def _rate(self, bench: Bench, name: str, backend: str, namespace: str) -> float:
        bench.stage(name)
        async with (
            storage_agent(bench.amqp_url, backend, namespace=namespace),
            saving_client(bench.amqp_url, namespace) as save,
        ):
            return await rate(
                save,
                in_flight=IN_FLIGHT,
                seconds=bench.options.seconds,
                warm_seconds=bench.options.warm_seconds,
            )
