"""The faults that a storm takes: they strike, tell when, and heal."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

import aiormq
import pytest

from tests.chaos.faults.contract import Fault
from tests.chaos.faults.cuts import CutAt, CutConnection
from tests.chaos.faults.latency import Reorder, SlowDown, Swallow, Throttle
from tests.chaos.proxy.amqp import AmqpProxy
from tests.chaos.proxy.rules import Cut, Point
from tests.unit.chaos.proxy.conftest import PATIENCE, Queue

pytestmark = pytest.mark.amqp

_LOST = (OSError, RuntimeError, aiormq.exceptions.AMQPError, asyncio.CancelledError)


@contextmanager
def _publishing(proxy: AmqpProxy, queue: Queue) -> Iterator[None]:
    """Somebody publishes, connects again when it is lost, and goes on."""

    async def publish() -> None:
        while True:
            try:
                connection = await aiormq.connect(proxy.proxied_url)
                channel = await connection.channel()
                while True:
                    await channel.basic_publish(b"", routing_key=queue.name)
            except _LOST:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    return

    publisher = asyncio.create_task(publish())
    try:
        yield
    finally:
        publisher.cancel()


async def test_a_drawn_cut_is_over_when_it_returns_and_all_go_on(
    proxy: AmqpProxy, queue: Queue
) -> None:
    fault: Fault = CutConnection(proxy, (Point.PUBLISH, Point.CONFIRM), "agents", at="redis")
    random = Random(1)
    with _publishing(proxy, queue):
        for _ in range(5):
            before, opened = time.monotonic(), proxy.opened
            async with asyncio.timeout(PATIENCE):
                strike = await fault.strike(random)
                while proxy.opened == opened:  # noqa: ASYNC110  nobody tells
                    await asyncio.sleep(0.01)
            assert (strike.kind, strike.at) == ("cut agents", "redis")
            assert before <= strike.struck_at <= strike.healed_at <= time.monotonic()


async def test_where_nothing_comes_by_all_connections_are_cut(
    proxy: AmqpProxy, amqp_url: str
) -> None:
    connection = await aiormq.connect(proxy.proxied_url)
    fault = CutAt(proxy, Cut(Point.DELIVERY), patience=0.1)
    strike = await fault.strike(Random(1))
    assert (strike.kind, fault.missed) == ("cut after delivery", 1)
    async with asyncio.timeout(PATIENCE):
        await asyncio.wait([connection.closing])


@pytest.mark.parametrize("kind", [SlowDown, Throttle, Swallow, Reorder])
async def test_a_path_is_as_before_when_the_fault_is_over_or_cancelled(
    proxy: AmqpProxy, queue: Queue, kind: type[SlowDown | Throttle | Swallow | Reorder]
) -> None:
    fault: Fault = kind(proxy, "agents", seconds=(0.1, 0.2))
    strike = await fault.strike(Random(1))
    assert strike.healed_at - strike.struck_at >= 0.1
    cancelled = asyncio.create_task(kind(proxy, "agents", seconds=(60, 60)).strike(Random(1)))
    await asyncio.wait([cancelled], timeout=0.05)
    cancelled.cancel()
    await asyncio.gather(cancelled, return_exceptions=True)
    async with asyncio.timeout(PATIENCE):
        connection = await aiormq.connect(proxy.proxied_url)
        channel = await connection.channel()
        await channel.basic_publish(b"", routing_key=queue.name)
        await connection.close()
    assert (proxy.weather.latency, proxy.weather.bytes_per_second) == ((0, 0), None)
    assert proxy.shuffle.share == 0
