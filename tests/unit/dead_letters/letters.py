"""A broker inside the process, with dead letters in it."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import time_machine

from holdfast_protocol.bus.contract import Delivery
from holdfast_protocol.bus.memory import MemoryBus
from holdfast_protocol.bus.memory_broker import MemoryBroker

_tags = itertools.count(1)


@asynccontextmanager
async def opened(
    bus_type: type[MemoryBus] = MemoryBus, *, timeout: float = 0.1, **bounds: int
) -> AsyncIterator[MemoryBus]:
    """A bus of its own broker. `timeout` is its patience with full queues, in seconds."""
    broker = MemoryBroker(**bounds)
    async with bus_type(broker=broker, operation_timeout=timeout) as bus:
        yield bus


async def bury(
    bus: MemoryBus,
    said: Any,
    *,
    letter_id: str | None = None,
    reason: str = "validation_error",
    error: str = "it was wrong",
    agent: str = "storage",
    to: str = "storage.any",
    at: datetime | None = None,
) -> None:
    """Put a message into the dead letters: bytes as they are, anything else as JSON."""
    body = said if isinstance(said, bytes) else json.dumps(said).encode()
    delivery = Delivery(body, to, next(_tags), message_id=letter_id)
    if at is None:
        await bus.dead_letter(delivery, reason=reason, error=error, agent=agent)
        return
    with time_machine.travel(at, tick=False):
        await bus.dead_letter(delivery, reason=reason, error=error, agent=agent)


async def bury_many(bus: MemoryBus, ids: Iterable[str], **fields: Any) -> None:
    """One small letter for each id."""
    for letter_id in ids:
        await bury(bus, {"action": "storage_save"}, letter_id=letter_id, **fields)


async def left(bus: MemoryBus) -> list[str]:
    """The ids of the dead letters that nobody holds, oldest first."""
    async with bus.dead_letters() as walk:
        return [letter.id for letter in await walk.take(100_000)]


async def arrived(bus: MemoryBus, agent: str, count: int) -> list[Delivery]:
    """So many deliveries to an agent, settled."""
    consumer = await bus.consume(agent)
    deliveries: list[Delivery] = []
    async with asyncio.timeout(10):
        while len(deliveries) < count:
            received = await consumer.receive()
            deliveries += received
            await consumer.ack(received)
    await consumer.cancel()
    return deliveries
