"""A consumer of large bodies over a broker: memory stays bounded, and so does the prefetch."""

import asyncio
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import aio_pika
import pytest

from holdfast_protocol.bus.contract import Delivery
from holdfast_protocol.bus.rabbitmq import subscription
from holdfast_protocol.bus.rabbitmq.bus import RabbitBus
from holdfast_protocol.bus.rabbitmq.consumer import RabbitConsumer
from holdfast_protocol.bus.rabbitmq.sizing import PrefetchSizing
from tests.conformance.bus.harness import RabbitHarness, soon, take
from tests.conformance.bus.rabbitmq.tools import call, proxy_to, until, vhost_of
from tests.conformance.bus.test_bytes_bound import MIB, drain, number_of, publish
from tests.services import BrokerApi

pytestmark = pytest.mark.amqp


async def test_a_hundred_large_bodies_stay_within_the_bound_until_they_are_settled(
    fresh_amqp_url: str, rabbitmq_api: BrokerApi
) -> None:
    bound = 16 * MIB

    async def all_are_given_out() -> bool:
        queue = await call(
            rabbitmq_api, "GET", "queues", vhost_of(fresh_amqp_url), "holdfast.agent.storage"
        )
        return bool(queue.get("messages_unacknowledged", 0) == 100)

    async with RabbitBus(fresh_amqp_url, operation_timeout=30) as bus:
        await (await bus.consume("storage")).cancel()
        await publish(bus, [4 * MIB] * 100)
    async with RabbitBus(fresh_amqp_url) as bus:
        tracemalloc.start()
        try:
            consumer = await bus.consume("storage", max_bytes=bound)
            await until(all_are_given_out)
            held = await soon(consumer.receive())
            assert bound <= sum(len(delivery.body) for delivery in held) <= bound + 4 * MIB
            assert tracemalloc.get_traced_memory()[1] < bound + 24 * MIB
        finally:
            tracemalloc.stop()
        await consumer.ack(held)
        rest = await drain(consumer, 100 - len(held), max_held=bound + 4 * MIB)
        assert len(rest) == 100 - len(held)


async def test_after_a_lost_connection_the_prefetch_fits_the_bodies_and_grows_again(
    amqp_url: str,
) -> None:
    harness = RabbitHarness(amqp_url)
    async with (
        proxy_to(amqp_url) as (proxy, url),
        RabbitBus(url, namespace=harness.namespace) as bus,
        RabbitBus(amqp_url, namespace=harness.namespace) as other,
        await aio_pika.connect(amqp_url) as connection,
    ):
        consumer = await bus.consume("storage", prefetch=500, max_bytes=8 * MIB)
        await publish(other, [MIB] * 40)
        await drain(consumer, 40, max_held=9 * MIB)
        proxy.cut()
        await until(lambda: _is(not consumer.connected))
        await publish(other, [8] * 600)
        channel = await connection.channel()

        async def some_are_given_out() -> bool:
            queue = await channel.declare_queue(f"{harness.namespace}.agent.storage", passive=True)
            return 580 <= (queue.declaration_result.message_count or 0) < 600

        await until(some_are_given_out)
        await drain(consumer, 600, max_held=9 * MIB)
        # By now all bodies are small, and what a consumer may hold is all of its prefetch.
        await publish(other, [8] * 500)
        held: list[Delivery] = []
        while len(held) < 500:
            held += await soon(consumer.receive())


async def test_the_loss_of_a_held_connection_is_noticed(amqp_url: str) -> None:
    namespace = RabbitHarness(amqp_url).namespace
    async with (
        proxy_to(amqp_url) as (proxy, url),
        # Nothing is read meanwhile: it is the heartbeat, written every second, that fails.
        RabbitBus(f"{url}?heartbeat=2", namespace=namespace) as bus,
        RabbitBus(amqp_url, namespace=namespace) as other,
    ):
        consumer = await bus.consume("storage", max_bytes=MIB)
        await publish(other, [4 * MIB] * 10)
        held = await take(consumer, 1)
        proxy.cut()
        await until(lambda: _is(not consumer.connected))
        await consumer.ack(held)  # of the lost connection: settles nothing, but makes room
        again = await soon(consumer.receive())
        assert again[0].redelivered
        await consumer.ack(again)
        seen = {number_of(delivery) for delivery in again}
        seen |= await drain(consumer, 10 - len(seen), max_held=8 * MIB)
        assert seen == set(range(10))


async def test_what_the_caller_holds_of_lost_connections_still_fills_the_bound(
    amqp_url: str,
) -> None:
    harness = RabbitHarness(amqp_url)
    async with (
        proxy_to(amqp_url) as (proxy, url),
        RabbitBus(url, namespace=harness.namespace) as bus,
        RabbitBus(amqp_url, namespace=harness.namespace) as other,
        depth_of(harness) as depth,
    ):
        consumer = await bus.consume("storage", max_bytes=2 * MIB)
        await publish(other, [MIB] * 10)
        held: list[Delivery] = []
        while len(held) < 2:
            held += await soon(consumer.receive())
        for generation in (2, 3):
            proxy.cut()
            await until(partial(_has_come_up, consumer, generation))
            # Nothing is taken, not even to wait here: others may take it.
            await until(lambda: depth(10, 10))
        waiting = asyncio.create_task(consumer.receive())
        await until(lambda: depth(10, 10))
        assert not waiting.done()
        await consumer.requeue(held)
        more = await soon(waiting)
        seen = {number_of(delivery) for delivery in more}
        await consumer.ack(more)
        assert seen | await drain(consumer, 10 - len(seen), max_held=4 * MIB) == set(range(10))


async def test_a_settling_that_was_cancelled_fills_nothing_for_ever(amqp_url: str) -> None:
    namespace = RabbitHarness(amqp_url).namespace
    async with (
        proxy_to(amqp_url) as (proxy, url),
        RabbitBus(url, namespace=namespace) as bus,
        RabbitBus(amqp_url, namespace=namespace) as other,
    ):
        consumer = await bus.consume("storage", max_bytes=1)
        await publish(other, [8])
        for settle in (consumer.ack, consumer.requeue):
            held = await take(consumer, 1)
            current = consumer._subscription
            assert current is not None
            async with current._settling:
                settling = asyncio.create_task(settle(held))
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                settling.cancel()
                await asyncio.wait([settling])
                proxy.cut()
                await until(lambda: _is(not consumer.connected))
        seen = {number_of(delivery) for delivery in await take(consumer, 1)}
        assert seen == {0}


async def test_a_consumer_that_is_full_for_long_gives_the_rest_back_and_keeps_its_connection(
    amqp_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscription, "_HELD_SECONDS", 0.3)
    harness = RabbitHarness(amqp_url)
    async with (
        RabbitBus(amqp_url, namespace=harness.namespace) as bus,
        RabbitBus(amqp_url, namespace=harness.namespace) as other,
        depth_of(harness) as depth,
    ):
        consumer = await bus.consume("storage", max_bytes=2 * MIB)
        await publish(other, [MIB] * 40)
        held: list[Delivery] = []
        while len(held) < 2:
            held += await soon(consumer.receive())
        await until(lambda: depth(36, 38))
        assert consumer.connected
        assert len(held) <= 4
        await consumer.ack(held)
        done = {number_of(delivery) for delivery in held}
        assert done | await drain(consumer, 40 - len(done), max_held=4 * MIB) == set(range(40))
        assert consumer._supervisor.generation == 1


async def test_deliveries_under_way_do_not_hold_up_the_change_of_a_consumer(
    amqp_url: str,
) -> None:
    namespace = RabbitHarness(amqp_url).namespace
    async with (
        proxy_to(amqp_url) as (proxy, url),
        RabbitBus(url, namespace=namespace) as bus,
        RabbitBus(amqp_url, namespace=namespace) as other,
    ):
        consumer = await bus.consume("storage", max_bytes=MIB)
        proxy.freeze()
        await publish(other, [MIB] * 5)
        changing = asyncio.create_task(consumer._consume_anew())
        await asyncio.sleep(0)
        proxy.thaw()
        await soon(changing)
        assert await drain(consumer, 5, max_held=2 * MIB) == set(range(5))
        assert consumer._supervisor.generation == 1


@asynccontextmanager
async def depth_of(harness: RabbitHarness) -> AsyncIterator[Callable[[int, int], Awaitable[bool]]]:
    """Asks whether so many (at least, at most) wait in the queue, given out to nobody."""
    async with await aio_pika.connect(harness.url) as connection:
        channel = await connection.channel()

        async def has(least: int, most: int) -> bool:
            queue = await channel.declare_queue(f"{harness.namespace}.agent.storage", passive=True)
            return least <= (queue.declaration_result.message_count or 0) <= most

        yield has


def test_the_prefetch_fits_the_average_body() -> None:
    sizing = PrefetchSizing(1000, 16 * MIB)
    assert sizing.choose() == 1000
    sizing.note(4 * MIB)
    assert sizing.choose() == 4
    for _ in range(200):
        sizing.note(4 * MIB)
    assert sizing.choose() == 4
    assert not sizing.is_too_small
    for _ in range(200):
        sizing.note(100 * MIB)
    assert sizing.choose() == 1
    for _ in range(200):
        sizing.note(0)
    assert sizing.is_too_small
    assert sizing.choose() == 1000
    assert not sizing.is_too_small


async def _has_come_up(consumer: RabbitConsumer, generation: int) -> bool:
    return consumer._supervisor.generation == generation


async def _is(condition: bool) -> bool:
    return condition
