"""The broker of the in-process bus: everything that buses of the same name share.

It belongs to one event loop and is never called from another thread, so nothing in it locks.
"""

import asyncio
import itertools
import logging
from collections.abc import Callable, Sequence
from functools import partial
from weakref import WeakValueDictionary

from holdfast_protocol.bus.deadletters import dead_letter_headers
from holdfast_protocol.bus.memory_journal import MemoryJournal
from holdfast_protocol.bus.memory_letters import BuriedLetter, MemoryLetters
from holdfast_protocol.bus.memory_listeners import MemoryListeners
from holdfast_protocol.bus.memory_queue import MemoryQueue
from holdfast_protocol.bus.messages import BroadcastExchange, Delivery, ReplyDelivery

_log = logging.getLogger("holdfast.bus")

MAX_MESSAGES = 10_000
MAX_BYTES = 256 * 1024 * 1024
MAX_DEAD_LETTERS = 10_000


class MemoryBroker:
    """The queues, reply addresses, dead letters, listeners and journals of everybody who opened
    the same name.

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
        self._letters = MemoryLetters(max_dead_letters)
        self._listeners: dict[tuple[str, BroadcastExchange], MemoryListeners] = {}
        self._journals: dict[str, MemoryJournal] = {}
        self._tags = itertools.count(1)

    @property
    def dead_letters(self) -> Sequence[BuriedLetter]:
        """The newest dead letters, oldest first."""
        return tuple(self.letters())

    def letters(self) -> MemoryLetters:
        """The dead letters, with what has expired up to now."""
        for queue in self._queues.values():
            queue.drop_expired()
        return self._letters

    def next_tag(self) -> int:
        """Another handle for each time that a message is delivered."""
        return next(self._tags)

    def declare_queue(self, namespace: str, agent: str) -> MemoryQueue:
        """The agent's queue, made at the first call and there until the broker goes."""
        key = (namespace, agent)
        if key not in self._queues:
            self._queues[key] = MemoryQueue(
                partial(self.bury, namespace, reason="expired", error="", agent=agent),
                self.next_tag,
                max_messages=self.max_messages,
                max_bytes=self.max_bytes,
            )
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

    def bury(
        self, namespace: str, delivery: Delivery, *, reason: str, error: str, agent: str
    ) -> None:
        """Keep a message as a dead letter."""
        self._letters.add(
            BuriedLetter(
                namespace=namespace,
                body=delivery.body,
                routing_key=delivery.routing_key,
                headers=dead_letter_headers(delivery, reason=reason, error=error, agent=agent),
                reply_to=delivery.reply_to,
                correlation_id=delivery.correlation_id,
                message_id=delivery.message_id,
            )
        )

    def listeners(self, namespace: str, exchange: BroadcastExchange) -> MemoryListeners:
        """Who listens to one exchange."""
        return self._listeners.setdefault((namespace, exchange), MemoryListeners())

    def journal(self, namespace: str) -> MemoryJournal:
        return self._journals.setdefault(namespace, MemoryJournal())


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
