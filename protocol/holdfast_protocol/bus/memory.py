"""The in-process bus: `memory://` and `memory://name`.

Buses of one process and event loop that open the same name meet at the same broker. It
keeps the contract of RabbitMQ, except that nothing survives the process.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import datetime
from types import TracebackType
from typing import Self

from holdfast_protocol.bus.checks import (
    check_agent,
    check_announcements,
    check_body,
    check_chunk,
    check_max_bytes,
    check_namespace,
    check_prefetch,
    check_publication,
    check_short_string,
    check_since,
    expiration_ms,
    reply_queue_name,
)
from holdfast_protocol.bus.contract import DEFAULT_MAX_BYTES
from holdfast_protocol.bus.deadletters import attempts_before, resent_headers
from holdfast_protocol.bus.memory_broker import MemoryBroker, named_broker
from holdfast_protocol.bus.memory_consumer import MemoryConsumer
from holdfast_protocol.bus.memory_letters import MemoryWalk
from holdfast_protocol.bus.memory_listeners import MemoryListener
from holdfast_protocol.bus.memory_queue import Entry, MemoryQueue
from holdfast_protocol.bus.messages import (
    Announcement,
    Broadcast,
    BroadcastExchange,
    DeadLetter,
    Delivery,
    Publication,
    ReplyDelivery,
)
from holdfast_protocol.bus.topics import check_patterns
from holdfast_protocol.errors import BusClosedError, NoRouteError, OverloadedError

_RETRY_AFTER = 1.0  # seconds, for whoever meets a full queue


class MemoryReplyAddress:
    """A reply address; its connection is never lost, so its generation stays."""

    def __init__(self, address: str) -> None:
        self._address = address

    @property
    def address(self) -> str:
        return self._address

    @property
    def generation(self) -> int:
        return 1


class MemoryBus:
    """Access to an in-process broker.

    `name` is that of a shared broker; `broker` is one to use instead. `operation_timeout`
    bounds, in seconds, how long a publish waits while the queue is full.
    """

    def __init__(
        self,
        name: str = "",
        *,
        namespace: str = "holdfast",
        operation_timeout: float = 10.0,
        broker: MemoryBroker | None = None,
    ) -> None:
        self._name = name
        self._namespace = check_namespace(namespace)
        self._timeout = operation_timeout
        self._given = broker
        self._broker: MemoryBroker | None = None
        self._consumers: list[MemoryConsumer] = []
        self._addresses: list[str] = []
        self._listeners: list[MemoryListener] = []
        self._walks: list[MemoryWalk] = []
        # Unique for ever: a receiver may take the message id for the message's identity.
        self._id_prefix = secrets.token_hex(12)

    @property
    def namespace(self) -> str:
        return self._namespace

    @property
    def is_local(self) -> bool:
        return True

    @property
    def blocked(self) -> bool:
        return False

    @property
    def broker(self) -> MemoryBroker:
        """The broker, while the bus is open. Raises BusClosedError otherwise."""
        if self._broker is None:
            raise BusClosedError("The bus is not open")
        return self._broker

    async def publish(self, publication: Publication) -> None:
        broker = self.broker
        check_publication(publication)
        await self._route(broker, self._entry(broker, publication))

    async def consume(
        self, agent: str, *, prefetch: int = 1000, max_bytes: int = DEFAULT_MAX_BYTES
    ) -> MemoryConsumer:
        check_agent(agent)
        check_prefetch(prefetch)
        check_max_bytes(max_bytes)
        queue = self.broker.declare_queue(self._namespace, agent)
        consumer = MemoryConsumer(queue, prefetch, max_bytes)
        self._consumers.append(consumer)
        return consumer

    async def open_reply_address(
        self, sender: str, on_reply: Callable[[ReplyDelivery], None]
    ) -> MemoryReplyAddress:
        address = reply_queue_name(self._namespace, sender)
        self.broker.listen(address, on_reply)
        self._addresses.append(address)
        return MemoryReplyAddress(address)

    async def reply(self, address: str, body: bytes, correlation_id: str | None) -> bool:
        broker = self.broker
        check_body(body)
        if correlation_id is not None:
            check_short_string("correlation_id", correlation_id)
        return broker.reply(address, ReplyDelivery(body, correlation_id))

    async def dead_letter(self, delivery: Delivery, *, reason: str, error: str, agent: str) -> None:
        self.broker.bury(self._namespace, delivery, reason=reason, error=error, agent=agent)

    @asynccontextmanager
    async def dead_letters(self) -> AsyncIterator[MemoryWalk]:
        walk = MemoryWalk(self.broker.letters(), self._namespace)
        self._walks.append(walk)
        try:
            yield walk
        finally:
            walk.close()
            if walk in self._walks:
                self._walks.remove(walk)

    async def resend(self, letter: DeadLetter) -> None:
        broker = self.broker
        check_short_string("routing_key", letter.routing_key)
        headers = resent_headers(letter)
        delivery = Delivery(
            letter.body,
            letter.routing_key,
            broker.next_tag(),
            letter.reply_to,
            letter.correlation_id,
            letter.id,
            headers=headers,
            attempts=attempts_before(headers) + 1,
        )
        await self._route(broker, (delivery, None))

    async def announce(self, announcements: Sequence[Announcement]) -> list[bool]:
        broker = self.broker
        check_announcements(announcements)
        return [
            broker.listeners(self._namespace, announcement.exchange).announce(announcement)
            for announcement in announcements
        ]

    async def listen(
        self,
        exchange: BroadcastExchange,
        patterns: Sequence[str],
        on_message: Callable[[Broadcast], None],
        on_ready: Callable[[], None] | None = None,
    ) -> MemoryListener:
        listeners = self.broker.listeners(self._namespace, exchange)
        listener = listeners.add(check_patterns(patterns), on_message)
        self._listeners = [one for one in self._listeners if one.connected] + [listener]
        if on_ready is not None:
            listener.tell_ready(on_ready)
        return listener

    async def journal(self, body: bytes) -> None:
        broker = self.broker
        check_chunk(body)
        broker.journal(self._namespace).append(body)

    async def read_journal(
        self, *, since: datetime | None = None, follow: bool = False
    ) -> AsyncIterator[bytes]:
        journal = self.broker.journal(self._namespace)
        async with aclosing(journal.read(check_since(since), follow=follow)) as chunks:
            async for chunk in chunks:
                _ = self.broker
                if chunk:
                    yield chunk

    async def _route(self, broker: MemoryBroker, entry: Entry) -> None:
        routing_key = entry[0].routing_key
        queue = broker.route(self._namespace, routing_key)
        if queue is None:
            raise NoRouteError(f"No agent is bound for {routing_key!r}")
        if not queue.offer(entry):
            await self._offer_patiently(queue, entry)

    def _entry(self, broker: MemoryBroker, publication: Publication) -> Entry:
        tag = broker.next_tag()
        delivery = Delivery(
            publication.body,
            publication.routing_key,
            tag,
            publication.reply_to,
            publication.correlation_id,
            f"{self._id_prefix}{tag:x}",
        )
        if publication.expiration_seconds is None:
            return delivery, None
        lifetime = expiration_ms(publication.expiration_seconds) / 1000
        return delivery, time.monotonic() + lifetime

    async def _offer_patiently(self, queue: MemoryQueue, entry: Entry) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                while not queue.offer(entry):
                    await queue.wait_for_room()
                    _ = self.broker
        except TimeoutError as error:
            raise OverloadedError(
                "The agent's queue takes no more now", {"retry_after_seconds": _RETRY_AFTER}
            ) from error

    async def __aenter__(self) -> Self:
        if self._broker is not None:
            raise RuntimeError("The bus is already open")
        self._broker = self._given or named_broker(self._name)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        broker, self._broker = self._broker, None
        if broker is None:
            return
        for address in self._addresses:
            broker.unlisten(address)
        for listener in self._listeners:
            listener.stop()
        for walk in self._walks:
            walk.close()
        for consumer in self._consumers:
            consumer.close()
        broker.journal(self._namespace).wake()
        self._addresses.clear()
        self._consumers.clear()
        self._listeners.clear()
        self._walks.clear()
