"""What has arrived and is ready to be executed: decoded, checked, bounded."""

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Any

from holdfast_protocol.bus.contract import Delivery
from holdfast_protocol.codec import Refusal
from holdfast_protocol.messages import AgentMessage

from .agent import Prepared
from .answers import Answer


@dataclass(frozen=True, slots=True)
class Received:
    """A delivery, decoded and checked.

    `alone` asks to be executed by itself, in small parts: its answers may be large.
    """

    delivery: Delivery
    is_array: bool
    items: list[AgentMessage | Refusal]
    prepared: list[Prepared[Any] | Answer]
    alone: bool = False


class Budget:
    """How many bytes of bodies may be in hand at once; what is decoded takes several times that.

    A body over the whole budget is taken alone.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._taken = 0
        self._freed = asyncio.Event()

    async def take(self, size: int) -> None:
        """Wait until there is room for so many bytes."""
        while self._taken and self._taken + size > self._max_bytes:
            self._freed.clear()
            await self._freed.wait()
        self._taken += size

    def give_back(self, size: int) -> None:
        """These bytes are settled."""
        self._taken -= size
        self._freed.set()


class Waiting:
    """A bounded queue between the one that takes deliveries and the one that executes them.

    Args:
        max_messages: of one batch, and how many may wait; a delivery is never split.
        max_bytes: of bodies, likewise.
    """

    def __init__(self, max_messages: int, max_bytes: int) -> None:
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._entries: deque[Received] = deque()
        self._messages = 0
        self._bytes = 0
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._closed = False

    async def put(self, received: Received) -> None:
        """Add one more, once there is room."""
        while self._messages >= self._max_messages or self._bytes >= self._max_bytes:
            self._room.clear()
            await self._room.wait()
        self._entries.append(received)
        self._messages += len(received.items)
        self._bytes += len(received.delivery.body)
        self._arrived.set()

    async def take(self) -> list[Received]:
        """The next batch: everything that waits, up to the limits. Empty once closed."""
        while not self._entries:
            if self._closed:
                return []
            self._arrived.clear()
            await self._arrived.wait()
        batch: list[Received] = []
        messages = size = 0
        while self._entries and messages < self._max_messages and size < self._max_bytes:
            if self._entries[0].alone and batch:
                break
            received = self._entries.popleft()
            batch.append(received)
            messages += len(received.items)
            size += len(received.delivery.body)
            if received.alone:
                break
        self._messages -= messages
        self._bytes -= size
        self._room.set()
        return batch

    def close(self) -> None:
        """Nothing more will be put; what waits can still be taken."""
        self._closed = True
        self._arrived.set()
