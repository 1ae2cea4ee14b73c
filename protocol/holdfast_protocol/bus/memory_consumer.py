"""Consuming an agent's queue on the in-process bus."""

import asyncio

from holdfast_protocol.bus.memory_queue import Entry, MemoryQueue
from holdfast_protocol.bus.messages import Delivery


class MemoryConsumer:
    """One consumer of an agent's queue, with its bounds for what is unsettled."""

    def __init__(self, queue: MemoryQueue, prefetch: int, max_bytes: int) -> None:
        self._queue = queue
        self._prefetch = prefetch
        self._max_bytes = max_bytes
        self._bytes = 0
        self._buffer: list[Delivery] = []
        self._unsettled: dict[object, Entry] = {}
        self._arrived = asyncio.Event()
        self._cancelled = False
        queue.subscribe(self)

    @property
    def connected(self) -> bool:
        return not self._cancelled

    @property
    def has_capacity(self) -> bool:
        return len(self._unsettled) < self._prefetch and self._bytes < self._max_bytes

    def deliver(self, entry: Entry) -> None:
        """Called by the queue, only while there is capacity."""
        delivery = entry[0]
        self._unsettled[delivery.tag] = entry
        self._bytes += len(delivery.body)
        self._buffer.append(delivery)
        self._arrived.set()

    async def receive(self) -> list[Delivery]:
        while not self._buffer:
            if self._cancelled:
                return []
            self._arrived.clear()
            await self._arrived.wait()
        received, self._buffer = self._buffer, []
        return received

    async def ack(self, deliveries: list[Delivery]) -> None:
        for delivery in deliveries:
            if delivery.tag in self._unsettled:
                self._settle(delivery.tag)
        self._queue.dispatch()

    async def requeue(self, deliveries: list[Delivery]) -> None:
        tags = {delivery.tag for delivery in deliveries}
        self._give_back([tag for tag in self._unsettled if tag in tags])

    async def cancel(self) -> None:
        self.stop()

    def stop(self) -> None:
        """Take nothing more."""
        self._cancelled = True
        self._queue.unsubscribe(self)
        self._arrived.set()

    def close(self) -> None:
        """Take nothing more, and give back all that is unsettled."""
        self.stop()
        self._buffer.clear()
        self._give_back(list(self._unsettled))

    def _give_back(self, tags: list[object]) -> None:
        self._queue.give_back([self._settle(tag) for tag in tags])

    def _settle(self, tag: object) -> Entry:
        entry = self._unsettled.pop(tag)
        self._bytes -= len(entry[0].body)
        return entry
