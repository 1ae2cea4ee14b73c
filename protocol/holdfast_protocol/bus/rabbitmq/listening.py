"""Listening to broadcasts, across lost connections."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import TypeVar

from aiormq import Channel
from aiormq.abc import DeliveredMessage
from pamqp.commands import Basic

from holdfast_protocol.bus.messages import Broadcast, BroadcastExchange
from holdfast_protocol.bus.rabbitmq.connection import Link
from holdfast_protocol.bus.rabbitmq.supervision import Supervisor
from holdfast_protocol.bus.rabbitmq.topology import (
    broadcast_exchange,
    declare_exchanges,
    declare_listener_queue,
)

_log = logging.getLogger("holdfast.bus")

_TIMEOUT = 10.0
_LAST_SECONDS = 2.0

T = TypeVar("T")


class RabbitListener:
    """One listener, on a supervised channel and a queue of its own: another one each time."""

    def __init__(
        self,
        link: Link,
        namespace: str,
        exchange: BroadcastExchange,
        patterns: tuple[str, ...],
        on_message: Callable[[Broadcast], None],
        on_ready: Callable[[], None] | None,
        on_closed: Callable[["RabbitListener"], None],
    ) -> None:
        self._link = link
        self._namespace = namespace
        self._exchange = broadcast_exchange(namespace, exchange)
        self._patterns = patterns
        self._on_message = on_message
        self._on_ready = on_ready
        self._on_closed = on_closed
        self._supervisor = Supervisor(
            f"listener to {self._exchange}", self._open, on_up=self._is_up
        )

    @property
    def connected(self) -> bool:
        return self._supervisor.current is not None and not self._supervisor.closed

    async def start(self, timeout: float) -> None:
        """Bind and consume. Raises UnavailableError when not in time (seconds)."""
        await self._supervisor.start(timeout)

    async def close(self) -> None:
        await self._supervisor.close()
        self._on_closed(self)

    async def _open(self) -> Channel:
        return await self._link.open_channel(self._prepare)

    async def _prepare(self, channel: Channel) -> None:
        await declare_exchanges(channel, self._namespace)
        queue = await _finished(self._consume(channel))
        for pattern in self._patterns:
            await channel.queue_bind(queue, self._exchange, routing_key=pattern, timeout=_TIMEOUT)

    async def _consume(self, channel: Channel) -> str:
        """Before anything is bound: a queue that was once consumed goes with its channel, and
        one that never was stays as long as the connection, which others use. Returns its name."""
        channel.on_consumer_cancel_callbacks.add(self._on_broker_cancel)
        queue = await declare_listener_queue(channel, self._namespace)
        await channel.basic_consume(queue, self._hand_over, no_ack=True, timeout=_TIMEOUT)
        return queue

    async def _hand_over(self, message: DeliveredMessage) -> None:
        """The driver's callback: it may be cancelled at any await, so it has none."""
        if self._supervisor.closed:
            return
        properties = message.header.properties
        broadcast = Broadcast(
            message.routing_key or "",
            message.body,
            properties.message_id or None,
            properties.user_id or None,
        )
        try:
            self._on_message(broadcast)
        except Exception:  # noqa: BLE001 - handed to the log; the next one is not to blame
            _log.exception("A listener to %s failed", broadcast.routing_key)

    def _is_up(self) -> None:
        if self._on_ready is None:
            return
        try:
            self._on_ready()
        except Exception:  # noqa: BLE001 - handed to the log; listening goes on
            _log.exception("What follows a new listener to %s failed", self._exchange)

    def _on_broker_cancel(self, _: Basic.Cancel) -> None:
        _log.warning("The broker ended the listener to %s", self._exchange)
        self._supervisor.recycle()


async def _finished(steps: Coroutine[None, None, T]) -> T:
    """The result of steps that are not to be cut in two: a cancellation waits for their end, for
    a few seconds."""
    task = asyncio.create_task(steps)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task], timeout=_LAST_SECONDS)
        task.cancel()
        raise
