"""A client's reply queue, across lost connections."""

import asyncio
import logging
from collections.abc import Callable

from aiormq import Channel
from aiormq.abc import DeliveredMessage
from aiormq.exceptions import AMQPChannelError, ConnectionInternalError
from pamqp.commands import Basic

from holdfast_protocol.bus.contract import ReplyDelivery
from holdfast_protocol.bus.rabbitmq.connection import Link
from holdfast_protocol.bus.rabbitmq.driver import ConnectionLostError, describe, lost_connections
from holdfast_protocol.bus.rabbitmq.supervision import Supervisor
from holdfast_protocol.bus.rabbitmq.topology import declare_reply_queue

_log = logging.getLogger("holdfast.bus")

_PREFETCH = 2000
_TIMEOUT = 10.0
_DELETE_TIMEOUT = 2.0


class RabbitReplyAddress:
    """One reply queue, consumed on a supervised channel of its own.

    In a cluster the queue lives on one node, and while that is away the name is taken by what
    nobody can use: then the queue gets another name (`new_name`), on the node that we reach.
    """

    def __init__(
        self,
        link: Link,
        new_name: Callable[[], str],
        on_reply: Callable[[ReplyDelivery], None],
    ) -> None:
        self._link = link
        self._new_name = new_name
        self._address = new_name()
        self._on_reply = on_reply
        self._consumer_tag = ""
        self._settled: tuple[Channel, int] | None = None
        self._to_settle = asyncio.Event()
        self._settler: asyncio.Task[None] | None = None
        self._supervisor = Supervisor(f"reply queue {self._address}", self._open)

    @property
    def address(self) -> str:
        return self._address

    @property
    def generation(self) -> int:
        return self._supervisor.generation

    async def start(self, timeout: float) -> None:
        """Declare and consume. Raises UnavailableError when not in time (seconds)."""
        self._settler = asyncio.create_task(self._settle(), name=f"settler of {self._address}")
        await self._supervisor.start(timeout)

    async def close(self) -> None:
        """Delete the queue, so that nobody answers into the void, and stop."""
        self._supervisor.finish()
        channel = self._supervisor.current
        if channel is not None:
            try:
                with lost_connections():
                    await channel.basic_cancel(self._consumer_tag, timeout=_DELETE_TIMEOUT)
                    await channel.queue_delete(self._address, timeout=_DELETE_TIMEOUT)
            except (ConnectionLostError, TimeoutError):
                _log.debug("The reply queue %s is left to expire", self._address)
        if self._settler is not None:
            self._settler.cancel()
            await asyncio.wait([self._settler])
        await self._supervisor.close()

    async def _open(self) -> Channel:
        return await self._link.open_channel(self._prepare)

    async def _prepare(self, channel: Channel) -> None:
        try:
            await declare_reply_queue(channel, self._address)
        except (AMQPChannelError, ConnectionInternalError, TimeoutError) as error:
            # Not found although it is being declared: its node is down. No answer: it hangs.
            # A connection that is lost says nothing of the queue, which may hold answers.
            _log.warning("No reply queue %s: %s", self._address, describe(error))
            self._address = self._new_name()
            raise
        await channel.basic_qos(prefetch_count=_PREFETCH, timeout=_TIMEOUT)
        channel.on_consumer_cancel_callbacks.add(self._on_broker_cancel)

        async def on_message(message: DeliveredMessage) -> None:
            self._hand_over(channel, message)

        started = await channel.basic_consume(self._address, on_message, timeout=_TIMEOUT)
        self._consumer_tag = started.consumer_tag or ""

    def _hand_over(self, channel: Channel, message: DeliveredMessage) -> None:
        properties = message.header.properties
        try:
            self._on_reply(ReplyDelivery(message.body, properties.correlation_id or None))
        except Exception:  # noqa: BLE001 - handed to the log; the next reply is not to blame
            _log.exception("The reply callback of %s failed", self._address)
        if message.delivery_tag is not None:
            self._settled = (channel, message.delivery_tag)
            self._to_settle.set()

    async def _settle(self) -> None:
        """Acks what was handed over, all of a moment in one frame."""
        while True:
            await self._to_settle.wait()
            self._to_settle.clear()
            if self._settled is None:
                continue
            channel, upto = self._settled
            try:
                async with asyncio.timeout(_TIMEOUT):
                    with lost_connections():
                        await channel.basic_ack(upto, multiple=True, wait=False)
            except ConnectionLostError:
                _log.debug("Replies at %s will come again", self._address)
            except TimeoutError:
                _log.warning("Settling replies at %s hangs; connecting again", self._address)
                self._supervisor.recycle()

    def _on_broker_cancel(self, _: Basic.Cancel) -> None:
        _log.warning("The broker ended the consumer of %s", self._address)
        self._supervisor.recycle()
