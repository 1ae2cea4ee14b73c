"""A queue that a policy bounds: publishing waits for room, as on the in-process bus."""

import asyncio

import pytest

from holdfast_protocol.bus.contract import Publication
from holdfast_protocol.bus.rabbitmq.bus import RabbitBus
from holdfast_protocol.errors import OverloadedError
from tests.conformance.bus.harness import soon, take
from tests.conformance.bus.rabbitmq.tools import call, vhost_of
from tests.services import BrokerApi

pytestmark = pytest.mark.amqp


async def test_a_full_queue_makes_publishers_wait_for_room(
    fresh_amqp_url: str, rabbitmq_api: BrokerApi
) -> None:
    policy = {"pattern": "agent", "definition": {"max-length": 1}, "apply-to": "queues"}
    await call(rabbitmq_api, "PUT", "policies", vhost_of(fresh_amqp_url), "short", body=policy)
    publication = Publication("storage.x", b"x")
    async with (
        RabbitBus(fresh_amqp_url) as bus,
        RabbitBus(fresh_amqp_url, operation_timeout=0.3) as hasty,
    ):
        consumer = await bus.consume("storage", prefetch=1)
        first = await _fill(hasty, consumer_count=1)
        assert first >= 2
        waiting = asyncio.create_task(bus.publish(publication))
        for _ in range(first + 1):
            await consumer.ack(await take(consumer, 1))
        await soon(waiting)


async def _fill(hasty: RabbitBus, consumer_count: int) -> int:
    """Publish until the queue takes no more; how many it took."""
    for taken in range(100):
        try:
            await soon(hasty.publish(Publication("storage.x", b"x")))
        except OverloadedError:
            return taken
    raise AssertionError(f"a queue of {consumer_count} took a hundred")
