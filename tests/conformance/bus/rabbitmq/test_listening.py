"""Listeners over a broker: what those that have ended, or never began, leave behind."""

import gc
import weakref

import pytest

from holdfast_protocol.bus.rabbitmq.bus import RabbitBus
from tests.conformance.bus.harness import Heard

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
