"""The broker of the in-process bus: queues, reply addresses and dead letters in memory.

It belongs to one event loop and is never called from another thread, so nothing in it locks.
"""

import asyncio
import itertools
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias
from weakref import WeakValueDictionary

from holdfast_protocol.bus.contract import Delivery, ReplyDelivery
from holdfast_protocol.bus.deadletters import dead_letter_headers

_log = logging.getLogger("holdfast.bus")

MAX_MESSAGES = 10_000
MAX_BYTES = 256 * 1024 * 1024
MAX_DEAD_LETTERS = 10_000

Entry: TypeAlias = tuple[Delivery, float | None]
"""A message and the monotonic second at which it expires."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that was given up, with the headers that say why."""

    body: bytes
    routing_key: str
    headers: dict[str, str]
    reply_to: str | None
    correlation_id: str | None
    message_id: str | None


class Subscriber(Protocol):
    """One consumer as its queue sees it."""

    @property
    def has_capacity(self) -> bool:
        """Whether fewer deliveries than the prefetch are unsettled."""
        ...

    def deliver(self, entry: Entry) -> None: ...


class MemoryQueue:
    """One agent's queue: what is ready, and the consumers that compete for it.

    Whenever something is ready, no consumer has capacity: every change that gives one
    capacity ends in `dispatch`.
    """

    def __init__(self, broker: "MemoryBroker", agent: str) -> None:
        self._broker = broker
        self._agent = agent
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
            again = replace(delivery, redelivered=True, tag=self._broker.next_tag())
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
        self._broker.bury(delivery, reason="expired", error="", agent=self._agent)
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
        return ready >= self._broker.max_messages or (
            ready > 0 and self._ready_bytes + size > self._broker.max_bytes
        )


class MemoryBroker:
    """The queues, reply addresses and dead letters of everybody who opened the same name.

    `max_messages` and `max_bytes` bound what is ready in each queue, `max_dead_letters` how
    many of the newest dead letters are kept.
    """

    def __init__(
        self,
        *,
        max_messages: int = MAX_MESSAGES,
        max_bytes: int = MAX_BYTES,
        max_dead_letters: int = MAX_DEAD_LETTERS,
    ) -> None:
        self.max_messages = max_messages
        self.max_bytes = max_bytes
        self.loop = asyncio.get_running_loop()
        self._queues: dict[tuple[str, str], MemoryQueue] = {}
        self._replies: dict[str, Callable[[ReplyDelivery], None]] = {}
        self._dead: deque[DeadLetter] = deque(maxlen=max_dead_letters)
        self._tags = itertools.count(1)

    @property
    def dead_letters(self) -> Sequence[DeadLetter]:
        """The newest dead letters, oldest first."""
        for queue in self._queues.values():
            queue.drop_expired()
        return tuple(self._dead)

    def next_tag(self) -> int:
        """Another handle for each time that a message is delivered."""
        return next(self._tags)

    def declare_queue(self, namespace: str, agent: str) -> MemoryQueue:
        """The agent's queue, made at the first call and there until the broker goes."""
        key = (namespace, agent)
        if key not in self._queues:
            self._queues[key] = MemoryQueue(self, agent)
        return self._queues[key]

    def route(self, namespace: str, routing_key: str) -> MemoryQueue | None:
        """The queue bound with `<agent>.#`; an agent's name holds no dot."""
        return self._queues.get((namespace, routing_key.partition(".")[0]))

    def listen(self, address: str, on_reply: Callable[[ReplyDelivery], None]) -> None:
        self._replies[address] = on_reply

    def unlisten(self, address: str) -> None:
        self._replies.pop(address, None)

    def reply(self, address: str, reply: ReplyDelivery) -> bool:
        """Hand a reply to its listener; False when there is none."""
        on_reply = self._replies.get(address)
        if on_reply is None:
            return False
        try:
            on_reply(reply)
        except Exception:  # noqa: BLE001 - handed to the log
            # A client's defect must not become the answering agent's.
            _log.exception("The reply callback of %s failed", address)
        return True

    def bury(self, delivery: Delivery, *, reason: str, error: str, agent: str) -> None:
        """Keep a message as a dead letter."""
        self._dead.append(
            DeadLetter(
                body=delivery.body,
                routing_key=delivery.routing_key,
                headers=dead_letter_headers(delivery, reason=reason, error=error, agent=agent),
                reply_to=delivery.reply_to,
                correlation_id=delivery.correlation_id,
                message_id=delivery.message_id,
            )
        )


# The one piece of global state: who opens `memory://name` must meet whoever else opened it,
# with nothing but the name in common, as with SQLite's shared named memory databases. It
# keeps nothing alive: a broker lives as long as a bus (or a test) holds it. The event loop
# is part of the key; the broker holds its loop, so the id cannot be another loop's.
_named: WeakValueDictionary[tuple[int, str], MemoryBroker] = WeakValueDictionary()


def named_broker(name: str) -> MemoryBroker:
    """The broker of that name on the running event loop, made when nobody holds one."""
    key = (id(asyncio.get_running_loop()), name)
    broker = _named.get(key)
    if broker is None:
        broker = _named[key] = MemoryBroker()
    return broker
