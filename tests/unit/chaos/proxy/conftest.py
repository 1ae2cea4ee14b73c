"""A proxy in front of RabbitMQ, and a queue to look into without it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiormq
import pytest

from tests.chaos.proxy.amqp import AmqpProxy
from tests.services import unique_name

PATIENCE = 10.0  # seconds: a bound for what must happen, never a pause
_LOOK = 0.01


@dataclass
class Queue:
    """A queue of the test's own, seen by a connection that takes no proxy."""

    name: str
    channel: aiormq.abc.AbstractChannel

    async def holds(self, count: int) -> None:
        """Until that many messages are ready in it; fails when it stays another number."""
        found = -1
        try:
            async with asyncio.timeout(PATIENCE):
                while found != count:
                    found = await self.ready()
                    await asyncio.sleep(_LOOK)
        except TimeoutError:
            pytest.fail(f"{found} messages instead of {count}")

    async def ready(self) -> int:
        """How many are ready now."""
        told = await self.channel.queue_declare(self.name, passive=True)
        return told.message_count or 0

    async def fill(self, count: int, body: bytes = b"x") -> None:
        """Put messages in."""
        for _ in range(count):
            await self.channel.basic_publish(body, routing_key=self.name)

    async def take_all(self, count: int) -> list[bytes]:
        """The bodies of so many messages, in their order."""
        bodies: list[bytes] = []
        while len(bodies) < count:
            got = await self.channel.basic_get(self.name, no_ack=True)
            if isinstance(got.delivery, aiormq.spec.Basic.GetOk):
                bodies.append(got.body)
        return bodies


@pytest.fixture
async def queue(amqp_url: str) -> AsyncIterator[Queue]:
    """An empty classic queue."""
    connection = await aiormq.connect(amqp_url)
    try:
        channel = await connection.channel()
        name = unique_name()
        await channel.queue_declare(name)
        yield Queue(name, channel)
        await channel.queue_delete(name)
    finally:
        await connection.close()


@pytest.fixture
async def proxy(amqp_url: str) -> AsyncIterator[AmqpProxy]:
    """In front of the broker of the tests."""
    async with AmqpProxy(amqp_url, seed=1) as proxy:
        yield proxy
