"""Consuming an agent's queue, across lost connections."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from aiormq import Channel
from aiormq.abc import DeliveredMessage
from pamqp.commands import Basic

from holdfast_protocol.bus.contract import Delivery
from holdfast_protocol.bus.rabbitmq.connection import Link
from holdfast_protocol.bus.rabbitmq.driver import ConnectionLostError, lost_connections
from holdfast_protocol.bus.rabbitmq.incoming import delivery_from
from holdfast_protocol.bus.rabbitmq.supervision import Supervisor
from holdfast_protocol.bus.rabbitmq.topology import declare_agent_queue, declare_exchanges

_log = logging.getLogger("holdfast.bus")

_TIMEOUT = 10.0


class Subscription:
    """The consumer's part of one channel: what was delivered on it and is not yet settled."""

    def __init__(self, channel: Channel, arrived: Callable[[Delivery], None]) -> None:
        self._channel = channel
        self._arrived = arrived
        # Delivery tags count up from 1 on each channel, so these are in their order.
        self._unsettled: dict[int, None] = {}
        # Settling frames leave in the order of taking: an ack "up to here" that overtook a
        # nack would settle what was given back.
        self._settling = asyncio.Lock()

    async def on_message(self, message: DeliveredMessage) -> None:
        """The driver's callback: it may be cancelled at any await, so it has none."""
        number = message.delivery_tag
        if number is not None:
            self._unsettled[number] = None
            self._arrived(delivery_from(message, (self, number)))

    async def ack(self, numbers: set[int]) -> None:
        async with self._settling:
            upto, others = self._take(numbers)
            if upto:
                await self._channel.basic_ack(upto, multiple=True, wait=False)
            for number in others:
                await self._channel.basic_ack(number, wait=False)

    async def requeue(self, numbers: set[int]) -> None:
        async with self._settling:
            upto, others = self._take(numbers)
            if upto:
                await self._channel.basic_nack(upto, multiple=True, requeue=True, wait=False)
            for number in others:
                await self._channel.basic_nack(number, requeue=True, wait=False)

    def _take(self, numbers: set[int]) -> tuple[int, list[int]]:
        """Count these as settled from now on; what is not, or no longer, unsettled is left out.

        Returns the highest of those up to which nothing remains unsettled (0: none), which
        can be settled in one go, and the others.
        """
        prefix = []
        for number in self._unsettled:
            if number not in numbers:
                break
            prefix.append(number)
        upto = prefix[-1] if prefix else 0
        others = sorted(n for n in numbers if n > upto and n in self._unsettled)
        for number in (*prefix, *others):
            del self._unsettled[number]
        return upto, others


class RabbitConsumer:
    """One consumer of an agent's queue, on a supervised channel of its own."""

    def __init__(self, link: Link, namespace: str, agent: str, prefetch: int) -> None:
        self._link = link
        self._namespace = namespace
        self._agent = agent
        self._prefetch = prefetch
        self._consumer_tag = ""
        self._subscription: Subscription | None = None
        self._buffer: list[Delivery] = []
        self._arrived = asyncio.Event()
        self._cancelled = False
        self._requeues: set[asyncio.Task[None]] = set()
        self._supervisor = Supervisor(f"consumer of {agent}", self._open, on_lost=self._lost)

    @property
    def connected(self) -> bool:
        return self._supervisor.current is not None and not self._cancelled

    async def start(self, timeout: float) -> None:
        """Declare and consume. Raises UnavailableError when not in time (seconds)."""
        await self._supervisor.start(timeout)

    async def receive(self) -> list[Delivery]:
        while not self._buffer:
            if self._cancelled:
                return []
            self._arrived.clear()
            await self._arrived.wait()
        received, self._buffer = self._buffer, []
        return received

    async def ack(self, deliveries: list[Delivery]) -> None:
        if self._subscription is not None:
            await self._settle(self._subscription.ack, self._numbers(deliveries))

    async def requeue(self, deliveries: list[Delivery]) -> None:
        if self._subscription is None:
            return
        # Half a requeue would keep messages from everybody until the connection ends: it
        # runs on when the caller is cancelled.
        task = asyncio.create_task(
            self._settle(self._subscription.requeue, self._numbers(deliveries))
        )
        self._requeues.add(task)
        task.add_done_callback(self._requeues.discard)
        await asyncio.shield(task)

    async def cancel(self) -> None:
        self._supervisor.finish()
        channel = self._supervisor.current
        try:
            if channel is not None and not self._cancelled:
                with lost_connections():
                    await channel.basic_cancel(self._consumer_tag, timeout=_TIMEOUT)
        except (ConnectionLostError, TimeoutError):
            _log.debug("The consumer of %s was gone before it was cancelled", self._agent)
        finally:
            self._end()

    async def close(self) -> None:
        """Give back all that is unsettled by closing the channel."""
        await self._supervisor.close()
        self._end()

    async def _settle(
        self, settle: Callable[[set[int]], Awaitable[None]], numbers: set[int]
    ) -> None:
        try:
            async with asyncio.timeout(_TIMEOUT):
                with lost_connections():
                    await settle(numbers)
        except ConnectionLostError:
            _log.debug("%d deliveries of %s will come again", len(numbers), self._agent)
        except TimeoutError:
            _log.warning("Settling %s deliveries hangs; connecting again", self._agent)
            self._supervisor.recycle()

    def _numbers(self, deliveries: list[Delivery]) -> set[int]:
        """The delivery tags of those that came on the present channel."""
        numbers = set()
        for delivery in deliveries:
            tag = delivery.tag
            if isinstance(tag, tuple) and tag[0] is self._subscription:
                numbers.add(tag[1])
        return numbers

    async def _open(self) -> Channel:
        return await self._link.open_channel(self._prepare)

    async def _prepare(self, channel: Channel) -> None:
        await declare_exchanges(channel, self._namespace)
        queue = await declare_agent_queue(channel, self._namespace, self._agent)
        await channel.basic_qos(prefetch_count=self._prefetch, timeout=_TIMEOUT)
        channel.on_consumer_cancel_callbacks.add(self._on_broker_cancel)
        self._subscription = subscription = Subscription(channel, self._on_delivery)
        started = await channel.basic_consume(queue, subscription.on_message, timeout=_TIMEOUT)
        self._consumer_tag = started.consumer_tag or ""

    def _on_delivery(self, delivery: Delivery) -> None:
        self._buffer.append(delivery)
        self._arrived.set()

    def _on_broker_cancel(self, _: Basic.Cancel) -> None:
        _log.warning("The broker ended the consumer of %s", self._agent)
        self._supervisor.recycle()

    def _lost(self) -> None:
        # What was not handed out comes again; handed out now, it would be done twice.
        self._subscription = None
        self._buffer.clear()
        if self._supervisor.closed:
            self._end()

    def _end(self) -> None:
        self._cancelled = True
        self._arrived.set()
