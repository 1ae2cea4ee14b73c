"""The in-process bus: `memory://` and `memory://name`.

Buses of one process and event loop that open the same name meet at the same broker. It
keeps the contract of RabbitMQ, except that nothing survives the process.
"""

import asyncio
import secrets
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from holdfast_protocol.bus.checks import (
    check_agent,
    check_body,
    check_namespace,
    check_prefetch,
    check_publication,
    check_short_string,
    expiration_ms,
    reply_queue_name,
)
from holdfast_protocol.bus.contract import Delivery, Publication, ReplyDelivery
from holdfast_protocol.bus.memory_broker import Entry, MemoryBroker, MemoryQueue, named_broker
from holdfast_protocol.errors import BusClosedError, NoRouteError, UnavailableError


class MemoryConsumer:
    """One consumer of an agent's queue."""

    def __init__(self, queue: MemoryQueue, prefetch: int) -> None:
        self._queue = queue
        self._prefetch = prefetch
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
        return len(self._unsettled) < self._prefetch

    def deliver(self, entry: Entry) -> None:
        """Called by the queue, only while there is capacity."""
        delivery = entry[0]
        self._unsettled[delivery.tag] = entry
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
            self._unsettled.pop(delivery.tag, None)
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
        self._queue.give_back([self._unsettled.pop(tag) for tag in tags])


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
        # Unique for ever: a receiver may take the message id for the message's identity.
        self._id_prefix = secrets.token_hex(12)

    @property
    def namespace(self) -> str:
        return self._namespace

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
        queue = broker.route(self._namespace, publication.routing_key)
        if queue is None:
            raise NoRouteError(f"No agent is bound for {publication.routing_key!r}")
        entry = self._entry(broker, publication)
        if not queue.offer(entry):
            await self._offer_patiently(queue, entry)

    async def consume(self, agent: str, *, prefetch: int = 1000) -> MemoryConsumer:
        check_agent(agent)
        check_prefetch(prefetch)
        consumer = MemoryConsumer(self.broker.declare_queue(self._namespace, agent), prefetch)
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
        self.broker.bury(delivery, reason=reason, error=error, agent=agent)

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
            raise UnavailableError("The agent's queue is full") from error

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
        for consumer in self._consumers:
            consumer.close()
        self._addresses.clear()
        self._consumers.clear()
