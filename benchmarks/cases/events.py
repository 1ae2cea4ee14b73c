"""What change events and the journal cost, and how soon an event arrives."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from statistics import quantiles
from typing import ClassVar

from benchmarks.agent import storage_agent
from benchmarks.documents import task
from benchmarks.environment import IN_FLIGHT, Bench
from benchmarks.holdfast import migrated, saving_client
from benchmarks.load import Load, alternating_rates, rate
from benchmarks.model import Case, Goal, Measure, Sample, Series
from holdfast_protocol import AgentClient

_SETTLE_SECONDS = 1.0


async def _saves_of(
    stack: AsyncExitStack, bench: Bench, namespace: str, settings: dict[str, str]
) -> Load:
    """Saves through a service of its own, in a namespace and a database of its own."""
    enter = stack.enter_async_context
    database = await migrated(await enter(bench.database()))
    await enter(storage_agent(bench.amqp_url, database, namespace=namespace, settings=settings))
    return Load(await enter(saving_client(bench.amqp_url, namespace)), IN_FLIGHT)


class EventCost(Case):
    """The same saves on two services that take turns: one keeps and publishes change events, one
    does not. Beside them the first one again, now with somebody who subscribes to everything, in
    this same process: what that costs is mostly the subscriber's own work, on the same two cores.
    """

    name = "events"
    title = f"storage_save with change events and without, {IN_FLIGHT} in flight"
    series: ClassVar = {
        "without": Series("storage_save, HOLDFAST_EVENTS=false", "/s"),
        "with": Series("storage_save, events kept and relayed, nobody subscribes", "/s"),
        "subscribed": Series("storage_save, and a client that receives every event", "/s"),
        "received": Series("events that it received meanwhile", "/s"),
    }
    goals = (Goal("with", "at least", 0.85, ("without",)),)

    @asynccontextmanager
    async def prepare(self, bench: Bench) -> AsyncIterator[Measure]:
        async with AsyncExitStack() as stack:
            loads = {
                "without": await _saves_of(stack, bench, "plain", {"HOLDFAST_EVENTS": "false"}),
                "with": await _saves_of(stack, bench, "told", {}),
            }
            options = bench.options

            async def measure() -> Sample:
                sample = await alternating_rates(
                    loads,
                    seconds=2 * options.seconds,
                    warm_seconds=2 * options.warm_seconds,
                    stage=bench.stage,
                )
                bench.stage("subscribed")
                async with _received(bench.amqp_url, "told") as received:
                    saved = await rate(
                        loads["with"].request,
                        in_flight=IN_FLIGHT,
                        seconds=options.seconds,
                        warm_seconds=options.warm_seconds,
                    )
                    counted = len(received)
                seconds = options.seconds + options.warm_seconds
                return {**sample, "subscribed": saved, "received": counted / seconds}

            yield measure


class JournalCost(Case):
    """The same saves on two services that take turns: one appends each exchange to the journal."""

    name = "journal"
    title = f"storage_save with the journal and without, {IN_FLIGHT} in flight"
    series: ClassVar = {
        "without": Series("storage_save with the default settings", "/s"),
        "with": Series("storage_save, HOLDFAST_JOURNAL=true", "/s"),
    }
    goals = (Goal("with", "at least", 0.9, ("without",)),)

    @asynccontextmanager
    async def prepare(self, bench: Bench) -> AsyncIterator[Measure]:
        async with AsyncExitStack() as stack:
            loads = {
                "without": await _saves_of(stack, bench, "forgetful", {}),
                "with": await _saves_of(stack, bench, "journaled", {"HOLDFAST_JOURNAL": "true"}),
            }
            options = bench.options

            async def measure() -> Sample:
                return await alternating_rates(
                    loads,
                    seconds=2 * options.seconds,
                    warm_seconds=2 * options.warm_seconds,
                    stage=bench.stage,
                )

            yield measure


class EventLatency(Case):
    """From the instant of a change (its `timestamp`, taken before its commit) until a subscriber
    has the event, while saves come evenly at half the rate that the same service was just
    measured at. One machine, one clock."""

    name = "event-latency"
    title = "an event reaches a subscriber, at half load"
    series: ClassVar = {
        "p50": Series("median", "ms"),
        "p95": Series("95th percentile", "ms"),
        "load": Series("storage_save meanwhile", "/s"),
    }
    goals = (Goal("p95", "at most", 50),)

    @asynccontextmanager
    async def prepare(self, bench: Bench) -> AsyncIterator[Measure]:
        async with AsyncExitStack() as stack:
            load = await _saves_of(stack, bench, "told", {})
            client = await stack.enter_async_context(
                AgentClient(bench.amqp_url, sender="paced", namespace="told")
            )
            options = bench.options

            async def measure() -> Sample:
                bench.stage("full load")
                full = await rate(
                    load.request,
                    in_flight=load.in_flight,
                    seconds=options.seconds,
                    warm_seconds=options.warm_seconds,
                )
                bench.stage("half load")
                async with _received(bench.amqp_url, "told") as received:
                    sent = await _paced(client, full / 2, options.seconds + options.warm_seconds)
                    await asyncio.sleep(_SETTLE_SECONDS)
                    if len(received) < sent:
                        bench.note(f"{sent - len(received)} of {sent} events came too late")
                    delays = received[len(received) // 4 :]  # the first quarter warms up
                cuts = quantiles(delays, n=20)
                seconds = options.seconds + options.warm_seconds
                return {"p50": cuts[9] * 1000, "p95": cuts[18] * 1000, "load": sent / seconds}

            yield measure


async def _paced(client: AgentClient, per_second: float, seconds: float) -> int:
    """Save evenly for so long; how many were saved."""
    begin = time.perf_counter()
    sent = 0
    under_way: set[asyncio.Task[object]] = set()
    while (passed := time.perf_counter() - begin) < seconds:
        while sent < passed * per_second:
            sent += 1
            saving = asyncio.ensure_future(client.storage.save(task(sent)))
            under_way.add(saving)
            saving.add_done_callback(under_way.discard)
        await asyncio.sleep(0.002)
    await asyncio.gather(*under_way)
    return sent


@asynccontextmanager
async def _received(amqp_url: str, namespace: str) -> AsyncIterator[list[float]]:
    """The delays, in seconds, of the events that a subscriber receives from now on."""
    delays: list[float] = []

    async def follow(client: AgentClient, ready: asyncio.Event) -> None:
        async with client.subscribe("tasks.*") as events:
            ready.set()
            async for event in events:
                delay = time.time() - event.timestamp.timestamp()
                delays.append(delay)

    async with AgentClient(amqp_url, sender="follower", namespace=namespace) as client:
        ready = asyncio.Event()
        following = asyncio.create_task(follow(client, ready))
        await ready.wait()
        try:
            yield delays
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
