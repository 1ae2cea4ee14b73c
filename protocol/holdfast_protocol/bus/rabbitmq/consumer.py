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
from holdfast_protocol.bus.rabbitmq.subscription import Room, Subscription
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
        self._room = Room(max_bytes)
        self._on_closed = on_closed
        self._sizing = PrefetchSizing(prefetch, max_bytes)
        self._changing = asyncio.Lock()
        self._change: asyncio.Task[None] | None = None
        self._subscription: Subscription | None = None
        self._buffer: list[Delivery] = []
        self._arrived = asyncio.Event()
        self._cancelled = False
        self._requeues: set[asyncio.Task[None]] = set()
        self._supervisor = Supervisor(
            f"consumer of {agent}", self._open, on_up=self._adjust, on_lost=self._lost
        )

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
        for subscription, numbers in self._by_channel(deliveries):
            await self._settle(subscription, subscription.ack(numbers))
        self._adjust()

    async def requeue(self, deliveries: list[Delivery]) -> None:
        # Half a requeue would keep messages from everybody until the connection ends: it
        # runs on when the caller is cancelled.
        task = asyncio.create_task(self._requeue(deliveries))
        self._requeues.add(task)
        task.add_done_callback(self._requeues.discard)
        await asyncio.shield(task)

    async def cancel(self) -> None:
        self._supervisor.finish()
        self._link.supervisor.finish()
        channel, subscription = self._supervisor.current, self._subscription
        try:
            if channel is not None and subscription is not None and not self._cancelled:
                async with self._changing:
                    with lost_connections():
                        await self._stop_consuming(channel, subscription)
        except (ConnectionLostError, TimeoutError):
            _log.debug("The consumer of %s was gone before it was cancelled", self._agent)
        finally:
            self._end()

    async def close(self) -> None:
        """Give back all that is unsettled by closing the channel."""
        if self._change is not None:
            self._change.cancel()
        await self._supervisor.close()
        await self._link.supervisor.close()
        self._end()
        self._on_closed(self)

    async def _requeue(self, deliveries: list[Delivery]) -> None:
        for subscription, numbers in self._by_channel(deliveries):
            await self._settle(subscription, subscription.requeue(numbers))
        self._adjust()

    async def _settle(self, subscription: Subscription, settling: Awaitable[None]) -> None:
        try:
            async with asyncio.timeout(_TIMEOUT):
                with lost_connections():
                    await settling
        except ConnectionLostError:
            _log.debug("Some deliveries of %s will come again", self._agent)
        except TimeoutError:
            _log.warning("Settling %s deliveries hangs; connecting again", self._agent)
            if subscription is self._subscription:
                self._supervisor.recycle()

    def _by_channel(self, deliveries: list[Delivery]) -> list[tuple[Subscription, set[int]]]:
        """The delivery tags of those of this consumer, by the channel on which they came."""
        found: dict[Subscription, set[int]] = {}
        for delivery in deliveries:
            tag = delivery.tag
            if isinstance(tag, tuple) and isinstance(tag[0], Subscription):
                found.setdefault(tag[0], set()).add(tag[1])
        return [pair for pair in found.items() if pair[0].room is self._room]

    async def _open(self) -> Channel:
        return await self._link.open_channel(self._prepare)

    async def _prepare(self, channel: Channel) -> None:
        await declare_exchanges(channel, self._namespace)
        await declare_agent_queue(channel, self._namespace, self._agent)
        channel.on_consumer_cancel_callbacks.add(self._on_broker_cancel)
        self._subscription = subscription = Subscription(
            channel, reader_of(channel), self._room, self._on_delivery, self._change_soon
        )
        try:
            await self._consume_if_there_is_room(channel, subscription)
        except BaseException:
            self._drop_channel()
            raise

    async def _consume_if_there_is_room(self, channel: Channel, subscription: Subscription) -> None:
        if subscription.is_full:
            return  # `_adjust` comes back to it
        subscription.resume()
        await channel.basic_qos(prefetch_count=self._sizing.choose(), timeout=_TIMEOUT)
        queue = agent_queue(self._namespace, self._agent)
        started = await channel.basic_consume(queue, subscription.on_message, timeout=_TIMEOUT)
        subscription.consumer_tag = started.consumer_tag or ""

    async def _stop_consuming(self, channel: Channel, subscription: Subscription) -> None:
        """What is unsettled stays so, as far as there is room; the rest is given back."""
        if subscription.consumer_tag is None:
            return
        subscription.finish()
        await channel.basic_cancel(subscription.consumer_tag, timeout=_TIMEOUT)
        subscription.consumer_tag = None
        await subscription.give_back_surplus()

    def _adjust(self) -> None:
        """Consume again when there is room again, and ask for more at once when the prefetch is
        smaller than the bodies call for."""
        subscription = self._subscription
        if subscription is None or self._supervisor.closed:
            return
        subscription.make_use_of_room()
        waits = subscription.consumer_tag is None and not subscription.is_full
        if waits or self._sizing.is_too_small:
            self._change_soon()

    def _change_soon(self) -> None:
        if self._change is None or self._change.done():
            self._change = asyncio.create_task(self._consume_anew())

    async def _consume_anew(self) -> None:
        """Another consumer on the same channel, as the prefetch of one cannot be changed; or none
        while there is no room."""
        async with self._changing:
            channel, subscription = self._supervisor.current, self._subscription
            if channel is None or subscription is None or self._supervisor.closed:
                return
            try:
                with lost_connections():
                    await self._stop_consuming(channel, subscription)
                    if not self._supervisor.closed:
                        await self._consume_if_there_is_room(channel, subscription)
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
        self._drop_channel()
        if self._supervisor.closed:
            self._end()

    def _drop_channel(self) -> None:
        """What was not handed out comes again; handed out now, it would be done twice."""
        buffered, self._buffer = self._by_channel(self._buffer), []
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            subscription.end(dict(buffered).get(subscription, ()))

    def _end(self) -> None:
        self._cancelled = True
        self._arrived.set()
