"""Consuming an agent's queue, across lost connections."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from aiormq import Channel
from pamqp.commands import Basic

from holdfast_protocol.bus.messages import Delivery
from holdfast_protocol.bus.rabbitmq.connection import Link, reader_of
from holdfast_protocol.bus.rabbitmq.driver import REFUSED, ConnectionLostError, lost_connections
from holdfast_protocol.bus.rabbitmq.sizing import PrefetchSizing
from holdfast_protocol.bus.rabbitmq.subscription import Subscription
from holdfast_protocol.bus.rabbitmq.supervision import Supervisor
from holdfast_protocol.bus.rabbitmq.topology import (
    agent_queue,
    declare_agent_queue,
    declare_exchanges,
)

_log = logging.getLogger("holdfast.bus")

_TIMEOUT = 10.0


class RabbitConsumer:
    """One consumer of an agent's queue, on a supervised channel and connection of its own.

    Of its own, because it may stop to read from it: see `Subscription`.
    """

    def __init__(
        self,
        link: Link,
        namespace: str,
        agent: str,
        prefetch: int,
        max_bytes: int,
        on_closed: Callable[["RabbitConsumer"], None],
    ) -> None:
        self._link = link
        self._namespace = namespace
        self._agent = agent
        self._max_bytes = max_bytes
        self._on_closed = on_closed
        self._sizing = PrefetchSizing(prefetch, max_bytes)
        self._changing = asyncio.Lock()
        self._growth: asyncio.Task[None] | None = None
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
        deadline = time.monotonic() + timeout
        await self._link.supervisor.start(timeout)
        await self._supervisor.start(max(0.0, deadline - time.monotonic()))

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
            self._grow()

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
        self._link.supervisor.finish()
        channel, subscription = self._supervisor.current, self._subscription
        try:
            if channel is not None and subscription is not None and not self._cancelled:
                subscription.finish()
                async with self._changing:
                    with lost_connections():
                        await channel.basic_cancel(self._consumer_tag, timeout=_TIMEOUT)
                        await subscription.give_back_surplus()
        except (ConnectionLostError, TimeoutError):
            _log.debug("The consumer of %s was gone before it was cancelled", self._agent)
        finally:
            self._end()

    async def close(self) -> None:
        """Give back all that is unsettled by closing the channel."""
        if self._growth is not None:
            self._growth.cancel()
        await self._supervisor.close()
        await self._link.supervisor.close()
        self._end()
        self._on_closed(self)

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
        channel.on_consumer_cancel_callbacks.add(self._on_broker_cancel)
        self._subscription = subscription = Subscription(
            channel, reader_of(channel), self._max_bytes, self._on_delivery
        )
        await self._consume(channel, queue, subscription)

    async def _consume(self, channel: Channel, queue: str, subscription: Subscription) -> None:
        await channel.basic_qos(prefetch_count=self._sizing.choose(), timeout=_TIMEOUT)
        started = await channel.basic_consume(queue, subscription.on_message, timeout=_TIMEOUT)
        self._consumer_tag = started.consumer_tag or ""

    def _grow(self) -> None:
        """Ask for more at once when the prefetch is smaller than the bodies call for."""
        if self._sizing.is_too_small and (self._growth is None or self._growth.done()):
            self._growth = asyncio.create_task(self._consume_anew())

    async def _consume_anew(self) -> None:
        """Another consumer on the same channel: the prefetch of one cannot be changed. What is
        unsettled stays so."""
        async with self._changing:
            channel, subscription = self._supervisor.current, self._subscription
            if channel is None or subscription is None or self._supervisor.closed:
                return
            try:
                with lost_connections():
                    await channel.basic_cancel(self._consumer_tag, timeout=_TIMEOUT)
                    await self._consume(
                        channel, agent_queue(self._namespace, self._agent), subscription
                    )
            except (ConnectionLostError, TimeoutError, *REFUSED) as error:
                _log.debug("The consumer of %s could not be changed: %s", self._agent, error)
                if self._supervisor.current is channel:
                    self._supervisor.recycle()

    def _on_delivery(self, delivery: Delivery) -> None:
        self._sizing.note(len(delivery.body))
        self._buffer.append(delivery)
        self._arrived.set()

    def _on_broker_cancel(self, _: Basic.Cancel) -> None:
        _log.warning("The broker ended the consumer of %s", self._agent)
        self._supervisor.recycle()

    def _lost(self) -> None:
        # What was not handed out comes again; handed out now, it would be done twice.
        if self._subscription is not None:
            self._subscription.end()
        self._subscription = None
        self._buffer.clear()
        if self._supervisor.closed:
            self._end()

    def _end(self) -> None:
        self._cancelled = True
        self._arrived.set()
