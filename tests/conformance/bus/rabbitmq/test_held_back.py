"""A consumer of large bodies over a broker: memory stays bounded, and so does the prefetch."""

import tracemalloc

import aio_pika
import pytest

from holdfast_protocol.bus.contract import Delivery
from holdfast_protocol.bus.rabbitmq.bus import RabbitBus
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
        again = await soon(consumer.receive())
        assert again[0].redelivered
        await consumer.ack(held)  # of the lost connection: settles nothing
        await consumer.ack(again)
        seen = {number_of(delivery) for delivery in again}
        seen |= await drain(consumer, 10 - len(seen), max_held=8 * MIB)
        assert seen == set(range(10))


def test_the_prefetch_fits_the_average_body() -> None:
    sizing = PrefetchSizing(1000, 16 * MIB)
    assert sizing.choose() == 1000
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


async def _is(condition: bool) -> bool:
    return condition
