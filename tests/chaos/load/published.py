"""A queue that is bound to the events of a collection all the time, and what it held."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue
from pamqp.common import FieldTable

from tests.chaos.load.dialling import LOST, WAIT, closed, dialled
from tests.chaos.load.tasks import end

_PAUSE: Final = 0.3
_EXPIRES: Final = 10 * 60 * 1_000  # milliseconds that the queue outlives its reader
_DECLARED: Final = 60.0


class Published:
    """Takes what is published to `<namespace>.events` of one collection."""

    def __init__(self, bus: str, namespace: str, collection: str) -> None:
        self._bus = bus
        self._namespace = namespace
        self._collection = collection
        self._bound = asyncio.Event()
        self._heard_at = time.monotonic()
        self.events: list[Mapping[str, Any]] = []

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The queue is bound from entering on. Raises TimeoutError where it cannot be."""
        task = asyncio.get_running_loop().create_task(self._take())
        try:
            async with asyncio.timeout(_DECLARED):
                await self._bound.wait()
            yield
        finally:
            await end([task])

    async def until(self, sequence: int, patience: float) -> None:
        """Until an event has come, or for so many seconds nothing has."""
        self._heard_at = time.monotonic()
        while time.monotonic() < self._heard_at + patience:
            if any(event["sequence"] >= sequence for event in self.events[-200:]):
                return
            await asyncio.sleep(_PAUSE)

    async def _take(self) -> None:
        while True:
            try:
                async with dialled(self._bus) as connection:
                    channel = await connection.channel()
                    await channel.set_qos(prefetch_count=200)
                    queue = await self._queue(channel)
                    await queue.consume(self._on_event, timeout=WAIT)
                    self._bound.set()
                    await closed(connection)
            except LOST:
                pass
            await asyncio.sleep(_PAUSE)

    async def _queue(self, channel: AbstractChannel) -> AbstractQueue:
        # One consumer at a time: a new connection may be served before the broker has noticed
        # the end of the old one, and what that had not acked would come behind what is newer.
        arguments: FieldTable = {
            "x-queue-type": "quorum",
            "x-expires": _EXPIRES,
            "x-single-active-consumer": True,
        }
        name = f"{self._namespace}.published.{self._collection}"
        queue = await channel.declare_queue(name, durable=True, arguments=arguments, timeout=WAIT)
        # The agents declare it, too; whoever is first.
        exchange = await channel.declare_exchange(
            f"{self._namespace}.events", "topic", durable=True, timeout=WAIT
        )
        await queue.bind(exchange, f"{self._collection}.*", timeout=WAIT)
        return queue

    async def _on_event(self, message: AbstractIncomingMessage) -> None:
        self.events.append(json.loads(message.body))
        self._heard_at = time.monotonic()
        await message.ack()
