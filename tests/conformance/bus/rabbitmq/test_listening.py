"""Listeners over a broker: what those that have ended, or never began, leave behind."""

import asyncio
import gc
import weakref

import pytest

from holdfast_protocol.bus.contract import Announcement
from holdfast_protocol.bus.rabbitmq.bus import RabbitBus
from tests.conformance.bus.harness import Heard, soon
from tests.conformance.bus.rabbitmq.tools import call, until, vhost_of
from tests.services import BrokerApi

pytestmark = pytest.mark.amqp


async def test_a_bus_forgets_listeners_and_consumers_that_closed_themselves(amqp_url: str) -> None:
    async with RabbitBus(amqp_url) as bus:
        before = list(bus._users)
        ended: list[weakref.ref[object]] = []

        async def listen_and_close() -> None:
            listener = await bus.listen("events", ["#"], Heard())
            await listener.close()
            await listener.close()
            ended.append(weakref.ref(listener))

        for _ in range(3):
            await listen_and_close()
        consumer = await bus.consume("storage")
        await consumer.close()
        async with bus.dead_letters():
            pass
        assert bus._users == before
        gc.collect()
        assert not any(reference() for reference in ended)


async def test_listening_that_is_cancelled_leaves_no_queue_behind(
    fresh_amqp_url: str, rabbitmq_api: BrokerApi
) -> None:
    async def queues() -> list[str]:
        listed = await call(rabbitmq_api, "GET", "queues", vhost_of(fresh_amqp_url))
        return [queue["name"] for queue in listed if ".listen." in queue["name"]]

    async def none_is_left() -> bool:
        return not await queues()

    async with RabbitBus(fresh_amqp_url) as bus:
        # In so small steps, one or the other meets each await of the way.
        for step in range(80):
            try:
                async with asyncio.timeout(step * 0.0005):
                    listener = await bus.listen("events", ["a", "b", "c"], Heard())
                await listener.close()
            except TimeoutError:
                pass
        stays = await bus.listen("events", ["#"], Heard())
        assert await soon(bus.announce([Announcement("events", "a", b"x")])) == [True]
        await stays.close()
        await until(none_is_left)
        assert await soon(bus.announce([Announcement("events", "a", b"x")])) == [False]
