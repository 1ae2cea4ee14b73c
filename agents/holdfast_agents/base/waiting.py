"""What has arrived and is ready to be executed: decoded, checked, bounded."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from holdfast_protocol.bus.contract import Delivery
from holdfast_protocol.codec import Refusal
from holdfast_protocol.messages import AgentMessage

from .answers import Answer
from .work import Prepared


@dataclass(slots=True)
class Received:
    """A delivery, decoded and checked, and how far it is answered.

    Args:
        weights: how many records the result of each message may hold; None for none at all.
        alone: to be executed by itself.
    """

    delivery: Delivery
    is_array: bool
    items: list[AgentMessage | Refusal]
    prepared: list[Prepared[Any] | Answer]
    weights: list[int] | None = None
    alone: bool = False
    is_delivered: bool = field(default=True, init=False)
    """Whether the broker, and the journal, have taken all that was answered so far."""
    _answered: int = field(default=0, init=False)

    def answered(self, count: int, *, is_delivered: bool) -> bool:
        """So many more messages are answered; whether that was all, and it can be settled."""
        self._answered += count
        self.is_delivered = self.is_delivered and is_delivered
        return self._answered == len(self.items)


class Portion(NamedTuple):
    """Messages of one delivery that are executed in the same batch: those from `start` to before
    `end`. Mostly all; the results of many reads are not held at once."""

    received: Received
    start: int
    end: int

    @property
    def weight(self) -> int:
        """How many records their results may hold."""
        weights = self.received.weights
        return 0 if weights is None else sum(weights[self.start : self.end])


class Budget:
    """How many bytes may be in hand at once.

    What is larger than the whole budget is taken alone.
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
        """These bytes are no longer in hand (below 0: it was more than what was taken for it)."""
        self._taken -= size
        self._freed.set()


class Waiting:
    """A bounded queue between the one that takes deliveries and the one that executes them.

    Args:
        max_messages: of one batch, and how many may wait.
        max_bytes: of bodies, likewise.
    """

    def __init__(self, max_messages: int, max_bytes: int) -> None:
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._entries: deque[Received] = deque()
        self._begun = 0
        """How many messages of the first entry were taken already."""
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

    async def take(self, max_weight: Callable[[], int]) -> list[Portion]:
        """The next batch: everything that waits, up to the limits. Empty once closed.

        Args:
            max_weight: gives how many records the results of the batch may hold. Only for this a
                delivery is split, down to single messages.
        """
        while not self._entries:
            if self._closed:
                return []
            self._arrived.clear()
            await self._arrived.wait()
        most = max_weight()
        first = self._take_first(most)
        batch, received = [first], first.received
        messages, size = first.end - first.start, len(received.delivery.body)
        room, more = most - first.weight, 0
        while messages < self._max_messages and size < self._max_bytes:
            if received.alone or self._begun or not self._entries:
                break
            received = self._entries[0]
            weight = 0 if received.weights is None else sum(received.weights)
            if received.alone or weight > max(room, 0):
                break
            room -= weight
            count = len(received.items)
            batch.append(Portion(received, 0, count))
            messages += count
            more += len(received.delivery.body)
            size += len(received.delivery.body)
            self._entries.popleft()
        self._messages -= messages
        self._bytes -= more
        self._room.set()
        return batch

    def _take_first(self, max_weight: int) -> Portion:
        """As much of the first entry as one batch may have."""
        received, start = self._entries[0], self._begun
        count = len(received.items)
        end = _reach(received.weights, start, max_weight) or count
        self._begun = end
        if end == count:
            self._entries.popleft()
            self._begun = 0
            self._bytes -= len(received.delivery.body)
        return Portion(received, start, end)

    def close(self) -> None:
        """Nothing more will be put; what waits can still be taken."""
        self._closed = True
        self._arrived.set()


def _reach(weights: Sequence[int] | None, start: int, room: int) -> int | None:
    """Up to where the weights from `start` on fit, one at least; None for all of them."""
    if weights is None:
        return None
    for place in range(start, len(weights)):
        room -= weights[place]
        if room < 0 and place > start:
            return place
    return None
