"""The proxy forwards what it does not cut: unchanged, late, or in another order."""

import asyncio
import time

import aiormq
import pytest
from aiormq.abc import DeliveredMessage

from tests.chaos.proxy.amqp import AmqpProxy
from tests.chaos.proxy.rules import Point
from tests.unit.chaos.proxy.conftest import PATIENCE, Queue

pytestmark = pytest.mark.amqp


async def test_bodies_of_all_sizes_pass_both_ways_on_several_channels(
    proxy: AmqpProxy, queue: Queue
) -> None:
    bodies = [bytes([n]) * size for n, size in enumerate([0, 1, 4_000, 131_000, 131_072, 900_000])]
    taken: list[bytes] = []
    all_taken = asyncio.Event()

    async def take(message: DeliveredMessage) -> None:
        taken.append(message.body)
        if len(taken) == 3 * len(bodies):
            all_taken.set()

    connection = await aiormq.connect(proxy.proxied_url)
    channels = [await connection.channel() for _ in range(3)]
    await channels[0].basic_consume(queue.name, take, no_ack=True)
    async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
        for channel in channels:
            for body in bodies:
                group.create_task(channel.basic_publish(body, routing_key=queue.name))
        await all_taken.wait()
    assert sorted(taken) == sorted(3 * bodies)
    await connection.close()
    assert proxy.seen[Point.PUBLISH] == proxy.seen[Point.DELIVERY] == 3 * len(bodies)
    assert proxy.opened == 1


async def test_a_black_hole_keeps_the_connection_and_lets_everything_through_later(
    proxy: AmqpProxy, queue: Queue
) -> None:
    connection = await aiormq.connect(proxy.proxied_url)
    channel = await connection.channel()
    with proxy.black_hole():
        publishing = asyncio.create_task(channel.basic_publish(b"", routing_key=queue.name))
        opening = asyncio.create_task(aiormq.connect(proxy.proxied_url))
        done, _ = await asyncio.wait([publishing, opening], timeout=0.2)
        assert not done
        assert await queue.ready() == 0
    async with asyncio.timeout(PATIENCE):
        await publishing
        await (await opening).close()
    await queue.holds(1)
    await connection.close()


async def test_latency_is_added_in_each_direction(proxy: AmqpProxy, queue: Queue) -> None:
    connection = await aiormq.connect(proxy.proxied_url)
    channel = await connection.channel()
    proxy.weather.latency = (0.05, 0.08)
    started = time.monotonic()
    await channel.basic_publish(b"", routing_key=queue.name)
    assert 0.1 <= time.monotonic() - started < 1
    proxy.weather.latency = (0, 0)
    await connection.close()


async def test_a_throttle_bounds_the_bytes_of_a_second(proxy: AmqpProxy, queue: Queue) -> None:
    connection = await aiormq.connect(proxy.proxied_url)
    channel = await connection.channel()
    proxy.weather.bytes_per_second = 1_000_000
    started = time.monotonic()
    await channel.basic_publish(bytes(200_000), routing_key=queue.name)
    assert time.monotonic() - started >= 0.2
    proxy.weather.bytes_per_second = None
    await connection.close()


async def test_publishes_change_places(proxy: AmqpProxy, queue: Queue) -> None:
    connection = await aiormq.connect(proxy.proxied_url)
    channel = await connection.channel(on_return_raises=True)
    proxy.shuffle.share = 0.5
    bodies = [str(n).encode() for n in range(300)]
    async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
        for body in bodies:
            group.create_task(channel.basic_publish(body, routing_key=queue.name, mandatory=True))
    assert proxy.shuffle.swapped > 10
    taken = await queue.take_all(300)
    assert taken != bodies
    assert sorted(taken) == sorted(bodies)
    await connection.close()


async def test_of_a_swapped_pair_the_refused_one_is_told_so(proxy: AmqpProxy, queue: Queue) -> None:
    """The queue takes an odd number: of one pair only the publish that came later, but first."""
    bounded = Queue(f"{queue.name}.bounded", queue.channel)
    arguments: aiormq.abc.ArgumentsType = {"x-max-length": 101, "x-overflow": "reject-publish"}
    await queue.channel.queue_declare(bounded.name, arguments=arguments)
    connection = await aiormq.connect(proxy.proxied_url)
    channel = await connection.channel()
    proxy.shuffle.share = 1
    accepted: list[bytes] = []

    async def offer(body: bytes) -> None:
        try:
            await channel.basic_publish(body, routing_key=bounded.name)
        except aiormq.exceptions.DeliveryError:
            return
        accepted.append(body)

    async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
        for number in range(300):
            group.create_task(offer(b"%d" % number))
    kept = await bounded.take_all(await bounded.ready())
    assert 100 <= len(kept) < 300
    assert sorted(kept) == sorted(accepted)
    await queue.channel.queue_delete(bounded.name)
    await connection.close()


async def test_without_a_next_publish_the_first_one_does_not_wait(
    proxy: AmqpProxy, queue: Queue
) -> None:
    connection = await aiormq.connect(proxy.proxied_url)
    channel = await connection.channel()
    proxy.shuffle.share = 1
    async with asyncio.timeout(PATIENCE):
        await channel.basic_publish(b"alone", routing_key=queue.name)
    assert await queue.take_all(1) == [b"alone"]
    await connection.close()
