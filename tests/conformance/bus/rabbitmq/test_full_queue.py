"""A queue that a policy bounds: publishing waits for room, as on the in-process bus."""

import asyncio

import pytest

from holdfast_protocol.bus.contract import Publication
from holdfast_protocol.bus.rabbitmq.bus import RabbitBus
from holdfast_protocol.errors import OverloadedError, UnavailableError
from tests.chaos.proxy.amqp import AmqpProxy
from tests.chaos.proxy.rules import Cut, Point, When
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


async def test_nobody_says_that_nothing_was_delivered_when_an_answer_was_lost(
    fresh_amqp_url: str, rabbitmq_api: BrokerApi
) -> None:
    """The first attempt fills the queue and its confirm is lost; all later ones are rejected."""
    policy = {"pattern": "agent", "definition": {"max-length": 1}, "apply-to": "queues"}
    await call(rabbitmq_api, "PUT", "policies", vhost_of(fresh_amqp_url), "short", body=policy)
    async with AmqpProxy(fresh_amqp_url) as proxy, RabbitBus(fresh_amqp_url) as bus:
        consumer = await bus.consume("storage", prefetch=1)
        async with (
            RabbitBus(fresh_amqp_url, operation_timeout=0.3) as hasty,
            RabbitBus(proxy.proxied_url, operation_timeout=2.0) as unlucky,
        ):
            await _fill(hasty, consumer_count=1)
            await consumer.ack(await take(consumer, 1))
            with proxy.cutting(Cut(Point.CONFIRM, When.BEFORE)) as armed:
                with pytest.raises(UnavailableError, match="may still be delivered"):
                    await soon(unlucky.publish(Publication("storage.x", b"unlucky")))
                assert armed.struck.is_set()


async def _fill(hasty: RabbitBus, consumer_count: int) -> int:
    """Publish until the queue takes no more; how many it took."""
    for taken in range(100):
        try:
            await soon(hasty.publish(Publication("storage.x", b"x")))
        except (OverloadedError, UnavailableError):  # the time may end in the midst of an attempt
            return taken
    raise AssertionError(f"a queue of {consumer_count} took a hundred")
