"""What the bus suite needs of a broker, over whichever bus it runs."""

import asyncio
from collections.abc import Awaitable
from typing import Protocol, TypeVar
from uuid import uuid4

import aio_pika

from holdfast_protocol.bus.contract import (
    Broadcast,
    Bus,
    Consumer,
    Delivery,
    Publication,
    ReplyDelivery,
)
from holdfast_protocol.bus.memory import MemoryBus
from holdfast_protocol.bus.memory_broker import MemoryBroker
from holdfast_protocol.bus.memory_letters import BuriedLetter
from holdfast_protocol.bus.rabbitmq.bus import RabbitBus

PATIENCE = 30.0  # seconds: a bound for what must happen, never a pause

T = TypeVar("T")


async def soon(awaitable: Awaitable[T]) -> T:
    """The result, or a failed test when there is none in time."""
    async with asyncio.timeout(PATIENCE):
        return await awaitable


async def take(consumer: Consumer, count: int) -> list[Delivery]:
    """Exactly `count` deliveries; more than that fails the test."""
    taken: list[Delivery] = []
    while len(taken) < count:
        taken += await soon(consumer.receive())
    assert len(taken) == count
    return taken


async def has_nothing_more(bus: Bus, consumer: Consumer, agent: str) -> bool:
    """Whether nothing is on its way to the consumer: a marker sent now is what comes next."""
    marker = uuid4().hex.encode()
    await bus.publish(Publication(f"{agent}.marker", marker))
    (delivery,) = await take(consumer, 1)
    await consumer.ack([delivery])
    return delivery.body == marker


class Replies:
    """An `on_reply` callback that a test can wait on."""

    def __init__(self) -> None:
        self.received: asyncio.Queue[ReplyDelivery] = asyncio.Queue()

    def __call__(self, reply: ReplyDelivery) -> None:
        self.received.put_nowait(reply)

    async def next(self) -> ReplyDelivery:
        return await soon(self.received.get())


class Heard:
    """An `on_message` callback, and an `on_ready` one, that a test can wait on."""

    def __init__(self) -> None:
        self.broadcasts: asyncio.Queue[Broadcast] = asyncio.Queue()
        self.readiness: asyncio.Queue[None] = asyncio.Queue()

    def __call__(self, broadcast: Broadcast) -> None:
        self.broadcasts.put_nowait(broadcast)

    def ready(self) -> None:
        self.readiness.put_nowait(None)

    async def next(self) -> Broadcast:
        return await soon(self.broadcasts.get())

    async def bodies(self, count: int) -> list[bytes]:
        """The next `count` bodies."""
        return [(await self.next()).body for _ in range(count)]


class Harness(Protocol):
    """A broker on which any number of buses meet."""

    def bus(self, *, namespace: str | None = None) -> Bus:
        """Another bus on the same broker, not yet entered; its namespace is the test's own."""
        ...

    async def dead_letters(self, count: int) -> list[BuriedLetter]:
        """The first `count` dead letters, waiting for them."""
        ...


class MemoryHarness:
    """Buses that meet at an in-process broker."""

    def __init__(self) -> None:
        self._name = uuid4().hex
        self._namespace = _namespace()
        self._held: list[MemoryBroker] = []

    def bus(self, *, namespace: str | None = None) -> Bus:
        return MemoryBus(self._name, namespace=namespace or self._namespace)

    async def dead_letters(self, count: int) -> list[BuriedLetter]:
        async with MemoryBus(self._name) as bus:
            letters = list(bus.broker.dead_letters)
        assert len(letters) >= count
        return letters[:count]


class RabbitHarness:
    """Buses that meet at RabbitMQ, in a namespace of the test's own."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.namespace = _namespace()

    def bus(self, *, namespace: str | None = None) -> Bus:
        return RabbitBus(self.url, namespace=namespace or self.namespace)

    async def dead_letters(self, count: int) -> list[BuriedLetter]:
        letters: list[BuriedLetter] = []
        async with await aio_pika.connect(self.url) as connection:
            channel = await connection.channel()
            queue = await channel.get_queue(f"{self.namespace}.dead-letters")
            async with asyncio.timeout(PATIENCE), queue.iterator(no_ack=True) as messages:
                async for message in messages:
                    letters.append(_dead_letter(self.namespace, message))
                    if len(letters) == count:
                        break
        return letters


def _dead_letter(namespace: str, message: aio_pika.abc.AbstractIncomingMessage) -> BuriedLetter:
    return BuriedLetter(
        namespace=namespace,
        body=message.body,
        routing_key=message.routing_key or "",
        headers={key: str(value) for key, value in message.headers.items()},
        reply_to=message.reply_to,
        correlation_id=message.correlation_id,
        message_id=message.message_id,
    )


def _namespace() -> str:
    return f"t{uuid4().hex}"
