"""`storage_save` through the bus, beside what else answers requests or saves documents."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import ClassVar

from celery import Celery

from benchmarks.agent import storage_agent
from benchmarks.environment import IN_FLIGHT, Bench
from benchmarks.holdfast import migrated, saving_client
from benchmarks.load import Load, alternating_rates
from benchmarks.model import Case, Goal, Measure, Sample, Series
from benchmarks.peers import celery_echo, hand_written, orm_saves, raw_echo
from benchmarks.peers.faststream_echo import faststream_client
from benchmarks.peers.plain_client import plain_client
from benchmarks.peers.servers import celery_server, faststream_server, raw_echo_server


class Saves(Case):
    """256 coroutines, each awaiting its save, through one `AgentClient` with its defaults.

    Holdfast stores and answers exactly once; the echoes store nothing; the seed's pattern and
    the single inserts have no bus. All get the same document.
    """

    name = "saves"
    title = f"storage_save through AgentClient, {IN_FLIGHT} in flight"
    series: ClassVar = {
        "holdfast": Series("storage_save through AgentClient, PostgreSQL, exactly once", "/s"),
        "raw echo": Series("aio-pika echo by hand, one message per request", "/s"),
        "faststream": Series("FastStream echo, broker.request", "/s"),
        "celery": Series("Celery echo, rpc:// results", "/s"),
        "orm": Series("SQLAlchemy ORM session and commit per save, 16 connections, no bus", "/s"),
        "insert": Series("asyncpg insert and commit per save, 16 connections, no bus", "/s"),
    }
    goals = (
        Goal("holdfast", "at least", 6, ("raw echo",)),
        Goal("holdfast", "at least", 25, ("faststream",)),
        Goal("holdfast", "at least", 12, ("orm",)),
    )

    @asynccontextmanager
    async def prepare(self, bench: Bench) -> AsyncIterator[Measure]:
        async with AsyncExitStack() as stack:
            enter = stack.enter_async_context
            url = bench.amqp_url
            database = await migrated(await enter(bench.database()))
            for server in (raw_echo_server(url), faststream_server(url), celery_server(url)):
                await enter(server)
            await enter(storage_agent(url, database))
            plain = await enter(plain_client(url, raw_echo.QUEUE))
            loads = {
                "raw echo": Load(plain.save, IN_FLIGHT),
                "holdfast": Load(await enter(saving_client(url)), IN_FLIGHT),
                "faststream": Load(await enter(faststream_client(url)), IN_FLIGHT),
                "orm": Load(await enter(orm_saves.orm_saver(database)), orm_saves.CONNECTIONS),
                "insert": Load(
                    await enter(hand_written.single_saver(database)),
                    hand_written.CONNECTIONS,
                ),
            }
            celery = celery_echo.application(url)
            yield partial(self._measure, bench, loads, celery)

    async def _measure(self, bench: Bench, loads: Mapping[str, Load], celery: Celery) -> Sample:
        options = bench.options
        sample = await alternating_rates(
            loads,
            seconds=options.seconds,
            warm_seconds=options.warm_seconds,
            stage=bench.stage,
        )
        bench.stage("celery")
        sample["celery"] = await asyncio.to_thread(
            celery_echo.rate,
            celery,
            in_flight=IN_FLIGHT,
            seconds=options.seconds,
            warm_seconds=options.warm_seconds,
        )
        return sample


class Foreign(Case):
    """A client that imports nothing of ours: one envelope per AMQP message, plain aio-pika.

    The same client class asks the raw echo and the storage agent, with the same text.
    """

    name = "foreign"
    title = (
        f"storage_save from a plain AMQP client, one envelope per message, {IN_FLIGHT} in flight"
    )
    series: ClassVar = {
        "holdfast": Series("storage_save, PostgreSQL, exactly once", "/s"),
        "raw echo": Series("aio-pika echo by hand, the same client", "/s"),
    }
    goals = (Goal("holdfast", "at least", 0.7, ("raw echo",)),)

    @asynccontextmanager
    async def prepare(self, bench: Bench) -> AsyncIterator[Measure]:
        async with AsyncExitStack() as stack:
            enter = stack.enter_async_context
            url = bench.amqp_url
            database = await migrated(await enter(bench.database()))
            await enter(raw_echo_server(url))
            await enter(storage_agent(url, database))
            echo = await enter(plain_client(url, raw_echo.QUEUE))
            agent = await enter(plain_client(url, "storage.storage_save", "holdfast.messages"))

            loads = {
                "raw echo": Load(echo.save, IN_FLIGHT),
                "holdfast": Load(agent.save, IN_FLIGHT),
            }

            async def measure() -> Sample:
                return await alternating_rates(
                    loads,
                    seconds=bench.options.seconds,
                    warm_seconds=bench.options.warm_seconds,
                    stage=bench.stage,
                )

            yield measure
