"""An AMQP client as a stranger would write it: aio-pika and json, and nothing of Holdfast."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, TypedDict, Unpack

import aio_pika
from aio_pika.abc import (
    AbstractChannel,
    AbstractExchange,
    AbstractIncomingMessage,
    AbstractQueue,
)

PATIENCE = 20.0  # seconds: a bound for what must happen, never a pause
DIRECT = "amq.rabbitmq.reply-to"


class Properties(TypedDict, total=False):
    """The AMQP properties that the contract speaks of."""

    reply_to: str | None
    correlation_id: str | None
    message_id: str | None
    user_id: str | None
    headers: dict[str, Any] | None


class PlainClient:
    """One connection with a reply queue; made by `connected`.

    Replies are handed to whoever waits for their correlation id, and to `listener`.
    """

    def __init__(self, namespace: str, publisher: AbstractChannel, reply_to: str) -> None:
        self.namespace = namespace
        self.reply_to = reply_to
        self.listener: Callable[[Any], None] | None = None
        self._publisher = publisher
        self._exchange: AbstractExchange | None = None
        self._waiting: dict[str, asyncio.Queue[Any]] = {}

    async def publish(
        self, body: bytes, routing_key: str = "storage.any", **properties: Unpack[Properties]
    ) -> None:
        """Publish bytes to the exchange of all messages, persistent and confirmed."""
        if self._exchange is None:
            name = f"{self.namespace}.messages"
            self._exchange = await self._publisher.get_exchange(name, ensure=False)
        message = aio_pika.Message(
            body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT, **properties
        )
        await self._exchange.publish(message, routing_key, timeout=PATIENCE)

    async def ask(
        self, said: object, routing_key: str = "storage.any", **properties: Unpack[Properties]
    ) -> Any:
        """The one body that answers: to bytes as they are, to anything else as JSON."""
        async with self._replies(properties) as replies:
            await self.publish(_encoded(said), routing_key, **properties)
            return await replies.get()

    async def ask_all(
        self,
        messages: Iterable[dict[str, Any]],
        routing_key: str = "storage.any",
        *,
        bodies: list[Any] | None = None,
        **properties: Unpack[Properties],
    ) -> dict[str, Any]:
        """Send an array; the responses by the ids of their messages, however they are parted.

        `bodies` is given what came, body by body.
        """
        sent = list(messages)
        answers: dict[str, Any] = {}
        async with self._replies(properties) as replies:
            await self.publish(_encoded(sent), routing_key, **properties)
            while len(answers) < len(sent):
                body = await replies.get()
                if bodies is not None:
                    bodies.append(body)
                answers |= {response["in_reply_to"]: response for response in body}
        return answers

    @asynccontextmanager
    async def _replies(self, properties: Properties) -> AsyncIterator[asyncio.Queue[Any]]:
        correlation_id = properties.get("correlation_id") or uuid.uuid4().hex
        properties["correlation_id"] = correlation_id
        properties.setdefault("reply_to", self.reply_to)
        replies = self._waiting[correlation_id] = asyncio.Queue()
        try:
            async with asyncio.timeout(PATIENCE):
                yield replies
        finally:
            del self._waiting[correlation_id]

    def _on_reply(self, message: AbstractIncomingMessage) -> None:
        body = json.loads(message.body)
        if self.listener is not None:
            self.listener(body)
        waiting = self._waiting.get(message.correlation_id or "")
        if waiting is not None:
            waiting.put_nowait(body)

    async def listen(self, channel: AbstractChannel) -> None:
        """Take replies from the reply queue."""

        async def on_reply(message: AbstractIncomingMessage) -> None:
            self._on_reply(message)

        if self.reply_to == DIRECT:
            direct = await channel.get_queue(DIRECT, ensure=False)
            await direct.consume(on_reply, no_ack=True, timeout=PATIENCE)
            return
        queue = await channel.declare_queue(
            self.reply_to, durable=True, arguments={"x-expires": 60_000}, timeout=PATIENCE
        )
        await queue.consume(on_reply, no_ack=True, timeout=PATIENCE)


@asynccontextmanager
async def connected(
    url: str, namespace: str = "holdfast", *, direct: bool = False
) -> AsyncIterator[PlainClient]:
    """A client with a reply queue of its own, or with the broker's direct replies."""
    async with await aio_pika.connect(url, timeout=PATIENCE) as connection:
        publisher = await connection.channel(on_return_raises=True)
        # Direct replies come on the channel that asked.
        listening = publisher if direct else await connection.channel()
        name = DIRECT if direct else f"{namespace}.reply.plain.{uuid.uuid4().hex}"
        client = PlainClient(namespace, publisher, name)
        await client.listen(listening)
        yield client


@asynccontextmanager
async def queue_of(url: str, name: str) -> AsyncIterator[AbstractQueue]:
    """A queue that is there already, to look into it. What is not settled goes back."""
    async with await aio_pika.connect(url, timeout=PATIENCE) as connection:
        channel = await connection.channel()
        yield await channel.declare_queue(name, passive=True, timeout=PATIENCE)


async def take_one(queue: AbstractQueue) -> AbstractIncomingMessage:
    """The next message of a queue, settled; waits for it."""
    arrived: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
    await queue.channel.set_qos(prefetch_count=1)
    tag = await queue.consume(arrived.put, timeout=PATIENCE)
    async with asyncio.timeout(PATIENCE):
        message = await arrived.get()
    await queue.cancel(tag)
    await message.ack()
    return message


def _encoded(said: object) -> bytes:
    return said if isinstance(said, bytes) else json.dumps(said).encode()
