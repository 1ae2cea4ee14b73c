"""A client by hand on aio-pika and the json module: one AMQP message per request.

It imports nothing of Holdfast. The raw echo and Holdfast's agent are asked by this same class,
so that what differs is only who answers.
"""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import aio_pika
from aio_pika.abc import AbstractExchange, AbstractIncomingMessage

from benchmarks.documents import task


class PlainClient:
    """Publishes JSON with a reply address, and reads JSON back."""

    def __init__(self, exchange: AbstractExchange, routing_key: str, reply_to: str) -> None:
        self._exchange = exchange
        self._routing_key = routing_key
        self._reply_to = reply_to
        self._waiting: dict[str, asyncio.Future[Any]] = {}
        self._prefix = uuid.uuid4().hex
        self._numbers = count(1)

    async def request(self, content: Any) -> Any:
        """What was answered."""
        correlation_id = f"{self._prefix}-{next(self._numbers)}"
        future = self._waiting[correlation_id] = asyncio.get_running_loop().create_future()
        message = aio_pika.Message(
            json.dumps(content).encode(),
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            message_id=correlation_id,
            correlation_id=correlation_id,
            reply_to=self._reply_to,
            content_type="application/json",
        )
        await self._exchange.publish(message, routing_key=self._routing_key)
        return await future

    async def save(self, number: int) -> Any:
        """Ask for a save, as an AgentMessage; the raw echo gets the same text."""
        answer = await self.request(
            {
                "action": "storage_save",
                "id": f"{self._prefix}-{number}",
                "sender": "foreign",
                "payload": {"task": task(number)},
            }
        )
        if answer.get("status", "success") != "success":
            raise RuntimeError(f"a save was answered with {answer}")
        return answer

    async def on_reply(self, message: AbstractIncomingMessage) -> None:
        """Hand an answer to who waits for it."""
        future = self._waiting.pop(message.correlation_id or "", None)
        if future is not None and not future.done():
            future.set_result(json.loads(message.body))


@asynccontextmanager
async def plain_client(
    url: str, routing_key: str, exchange: str | None = None
) -> AsyncIterator[PlainClient]:
    """A client with a connection and a reply queue of its own.

    Args:
        exchange: where to publish; the default exchange by default.
    """
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        name = f"holdfast.reply.plain.{uuid.uuid4().hex}"
        replies = await channel.declare_queue(name, exclusive=True)
        target = channel.default_exchange
        if exchange is not None:
            target = await channel.get_exchange(exchange, ensure=True)
        client = PlainClient(target, routing_key, name)
        await replies.consume(client.on_reply, no_ack=True)
        yield client
