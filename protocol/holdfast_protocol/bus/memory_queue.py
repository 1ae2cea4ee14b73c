"""One agent's queue on the in-process bus."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol, TypeAlias

from holdfast_protocol.bus.messages import Delivery

Entry: TypeAlias = tuple[Delivery, float | None]
"""A message and the monotonic second at which it expires."""


class Subscriber(Protocol):
    """One consumer as its queue sees it."""

    @property
    def has_capacity(self) -> bool:
        """Whether less than its prefetch and its bytes are unsettled."""
        ...

    def deliver(self, entry: Entry) -> None: ...


class MemoryQueue:
    """One agent's queue: what is ready, and the consumers that compete for it.

    Whenever something is ready, no consumer has capacity: every change that gives one
    capacity ends in `dispatch`. `bury` takes what has expired; the bounds are for what is
    ready.
    """

    def __init__(
        self,
        bury: Callable[[Delivery], None],
        next_tag: Callable[[], int],
        *,
        max_messages: int,
        max_bytes: int,
    ) -> None:
        self._bury = bury
        self._next_tag = next_tag
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._ready: deque[Entry] = deque()
        self._ready_bytes = 0
        self._subscribers: deque[Subscriber] = deque()
        self._room = asyncio.Event()

    def offer(self, entry: Entry) -> bool:
        """Take a message; False when the queue is full."""
        if not self._ready:
            subscriber = self._next_subscriber()
            if subscriber is not None:
                subscriber.deliver(entry)
                return True
        if self._is_full(len(entry[0].body)):
            self.drop_expired()
            if self._is_full(len(entry[0].body)):
                self._room.clear()
                return False
        self._ready.append(entry)
        self._ready_bytes += len(entry[0].body)
        return True

    async def wait_for_room(self) -> None:
        """Until a message has left the queue; there may be room now."""
        await self._room.wait()

    def give_back(self, entries: Sequence[Entry]) -> None:
        """Put unsettled messages in front, in their order, to be delivered again."""
        for delivery, expires_at in reversed(entries):
            again = replace(
                delivery,
                redelivered=True,
                tag=self._next_tag(),
                attempts=delivery.attempts + 1,
            )
            self._ready.appendleft((again, expires_at))
            self._ready_bytes += len(again.body)
        self.dispatch()

    def subscribe(self, subscriber: Subscriber) -> None:
        self._subscribers.append(subscriber)
        self.dispatch()

    def unsubscribe(self, subscriber: Subscriber) -> None:
        if subscriber in self._subscribers:
            self._subscribers.remove(subscriber)

    def dispatch(self) -> None:
        """Hand out what is ready to the consumers in turn, as far as they have capacity."""
        while self._ready:
            subscriber = self._next_subscriber()
            if subscriber is None:
                return
            entry = self._take()
            if not self._expire(entry):
                subscriber.deliver(entry)

    def drop_expired(self) -> None:
        """Dead-letter what has expired at the head of the queue."""
        while self._ready and self._expire(self._ready[0]):
            self._take()

    def _take(self) -> Entry:
        entry = self._ready.popleft()
        self._ready_bytes -= len(entry[0].body)
        self._room.set()
        return entry

    def _expire(self, entry: Entry) -> bool:
        delivery, expires_at = entry
        if expires_at is None or time.monotonic() < expires_at:
            return False
        self._bury(delivery)
        return True

    def _next_subscriber(self) -> Subscriber | None:
        for _ in range(len(self._subscribers)):
            subscriber = self._subscribers[0]
            self._subscribers.rotate(-1)
            if subscriber.has_capacity:
                return subscriber
        return None

    def _is_full(self, size: int) -> bool:
        # A single body larger than the limit passes through an empty queue.
        ready = len(self._ready)
        return ready >= self._max_messages or (
            ready > 0 and self._ready_bytes + size > self._max_bytes
        )
