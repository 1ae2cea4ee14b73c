"""What a stranger hears of an exchange, with a queue of its own: aio-pika and json only."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aio_pika
from aio_pika.abc import AbstractIncomingMessage

from tests.acceptance.plain_client import PATIENCE


class Heard:
    """What arrived at a queue, in order."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.bodies: list[Any] = []
        self._arrived = asyncio.Condition()

    async def take(self, message: AbstractIncomingMessage) -> None:
        """One message; for aio-pika."""
        async with self._arrived:
            self.keys.append(message.routing_key or "")
            self.bodies.append(json.loads(message.body))
            self._arrived.notify_all()

    async def until(self, done: Callable[[list[Any]], bool]) -> list[Any]:
        """The bodies, once they are enough."""
        async with asyncio.timeout(PATIENCE), self._arrived:
            await self._arrived.wait_for(lambda: done(self.bodies))
        return self.bodies


@asynccontextmanager
async def hearing(
    url: str, exchange: str, keys: Sequence[str], **arguments: Any
) -> AsyncIterator[Heard]:
    """A bound queue that is consumed."""
    heard = Heard()
    async with bound(url, exchange, keys, **arguments) as queue:
        await queue.consume(heard.take, no_ack=True, timeout=PATIENCE)
        yield heard


@asynccontextmanager
async def bound(
    url: str, exchange: str, keys: Sequence[str], **arguments: Any
) -> AsyncIterator[aio_pika.abc.AbstractQueue]:
    """A queue of the test's own, bound and not consumed."""
    async with await aio_pika.connect(url, timeout=PATIENCE) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(exclusive=True, arguments=arguments, timeout=PATIENCE)
        for key in keys:
            await queue.bind(exchange, routing_key=key, timeout=PATIENCE)
        yield queue


async def tell(url: str, exchange: str, key: str, body: object) -> None:
    """Publish JSON, confirmed."""
    async with await aio_pika.connect(url, timeout=PATIENCE) as connection:
        channel = await connection.channel()
        to = await channel.get_exchange(exchange, ensure=False)
        await to.publish(aio_pika.Message(json.dumps(body).encode()), key, timeout=PATIENCE)
