"""Confirmed publishing: pipelined, bounded in time and in what is under way."""

import asyncio
import itertools
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiormq import Channel
from aiormq.abc import ChannelFrame
from aiormq.exceptions import DeliveryError, PublishError
from pamqp.commands import Basic

from holdfast_protocol.bus.rabbitmq.connection import Link
from holdfast_protocol.bus.rabbitmq.doubts import Doubts
from holdfast_protocol.bus.rabbitmq.driver import ConnectionLostError, lost_connections
from holdfast_protocol.bus.rabbitmq.supervision import Supervisor
from holdfast_protocol.bus.rabbitmq.topology import declare_exchanges, messages_exchange
from holdfast_protocol.errors import UnavailableError

_MAX_COUNT = 2048
_MAX_BYTES = 64 * 1024 * 1024
_ATTEMPTS = 3
_FIRST_DELAY = 0.05
_LONGEST_DELAY = 1.0


class RejectedError(Exception):
    """The broker keeps rejecting the publication: a queue takes no more."""


class UnroutableError(Exception):
    """The broker returned the publication: no queue takes it."""


@dataclass(slots=True)
class _Message:
    """What is sent, perhaps more than once. `message_id` is the one to keep, if any.

    `unsure_on` is the channel on which it was sent and nothing was heard of it, if any;
    `may_have_arrived` says whether there ever was such a one.
    """

    exchange: str
    routing_key: str
    body: bytes
    properties: Basic.Properties
    mandatory: bool
    message_id: str | None
    rejections: int | None
    rejected: bool = False
    may_have_arrived: bool = False
    unsure_on: Channel | None = None

    @property
    def was_refused(self) -> bool:
        """Whether each attempt is known to have been rejected. For who counts rejections the last
        one is enough: it does not matter to him whether it was delivered before."""
        if self.rejections is not None:
            return self.rejected
        return self.rejected and not self.may_have_arrived and self.unsure_on is None


class Publisher:
    """Publishes on a supervised channel of its own connection.

    `timeout` bounds, in seconds, each publish with all its waiting; `attempts` how often a
    body is sent when the connection is lost before the confirm.
    """

    def __init__(
        self,
        link: Link,
        namespace: str,
        timeout: float,
        *,
        attempts: int = _ATTEMPTS,
        name: str = "publish channel",
    ) -> None:
        self._attempts = attempts
        self._link = link
        self._namespace = namespace
        self._timeout = timeout
        self._under_way = _UnderWay()
        self._id_prefix = uuid.uuid4().hex
        self._ids = itertools.count(1)
        self._doubts = Doubts()
        self._messages = messages_exchange(namespace)
        self.supervisor = Supervisor(name, self._open)

    def next_message_id(self) -> str:
        """Never the same again, here or anywhere."""
        return f"{self._id_prefix}-{next(self._ids):x}"

    async def publish(
        self,
        exchange: str,
        routing_key: str,
        body: bytes,
        properties: Basic.Properties,
        *,
        mandatory: bool = True,
        rejections: int | None = None,
    ) -> None:
        """Returns when the broker has confirmed.

        When the connection is lost before the confirm, or the broker rejects the message for
        now, the same body is sent again, so it may arrive twice. Properties without a message
        id get another one for each attempt: the driver tells a returned publication by it.

        Args:
            rejections: how often the broker may reject it before the caller is told; None
                leaves that to the time.

        Raises:
            RejectedError: rejected so often, or last when the time was up; without `rejections`
                no attempt was delivered.
            UnroutableError: mandatory, and no queue takes it.
            UnavailableError: not confirmed in time; it may still be delivered.
        """
        message = _Message(
            exchange, routing_key, body, properties, mandatory, properties.message_id, rejections
        )
        try:
            async with asyncio.timeout(self._timeout), self._under_way.place(message):
                await self._publish_patiently(message)
        except TimeoutError as error:
            if message.was_refused:
                raise RejectedError(message.routing_key) from error
            raise UnavailableError(
                "The broker did not confirm in time; the message may still be delivered"
            ) from error

    async def close(self) -> None:
        """Publish no more; what is under way ends in BusClosedError or UnavailableError."""
        await self.supervisor.close()
        self._under_way.close()

    async def _publish_patiently(self, message: _Message) -> None:
        """Again when the broker rejects it (a full queue, or one without a leader yet), for
        as long as the caller waits; again when the connection is lost, a few times."""
        delay, losses, rejections = _FIRST_DELAY, 0, 0
        while True:
            try:
                await self._publish_once(message)
                if message.exchange:
                    self._doubts.accepted(self._route(message))
                return
            except PublishError as error:
                raise UnroutableError(message.routing_key) from error
            except DeliveryError as error:
                rejections += 1
                message.rejected = True
                if message.rejections is not None and rejections > message.rejections:
                    raise RejectedError(message.routing_key) from error
                if message.exchange and self._doubts.rejected(self._route(message)):
                    self.supervisor.recycle()
                await asyncio.sleep(delay)
                delay = min(delay * 2, _LONGEST_DELAY)
            except ConnectionLostError as error:
                losses += 1
                message.rejected, message.may_have_arrived = False, True
                if losses >= self._attempts:
                    raise UnavailableError(
                        "The connection was lost; the message may still be delivered"
                    ) from error

    async def _publish_once(self, message: _Message) -> None:
        channel = self.supervisor.current or await self.supervisor.get()
        if self._link.blocked:
            await self._link.unblocked()
        properties = message.properties
        properties.message_id = message.message_id or self.next_message_id()
        message.unsure_on = channel
        try:
            with lost_connections():
                await channel.basic_publish(
                    message.body,
                    exchange=message.exchange,
                    routing_key=message.routing_key,
                    properties=properties,
                    mandatory=message.mandatory,
                    wait=False,  # the confirm says more than the socket's buffer
                )
            message.unsure_on = None
        except ConnectionLostError:
            message.unsure_on = None
            if self.supervisor.current is channel:
                self.supervisor.recycle()
            raise
        except DeliveryError:  # rejected or returned: the broker has read it
            message.unsure_on = None
            raise

    def _route(self, message: _Message) -> str:
        """What stands for the queue: of messages the agent, elsewhere the exchange."""
        if message.exchange != self._messages:
            return message.exchange
        return f"{message.exchange}/{message.routing_key.partition('.')[0]}"

    async def _open(self) -> Channel:
        return await self._link.open_channel(self._prepare, confirms=True)

    async def _prepare(self, channel: Channel) -> None:
        await declare_exchanges(channel, self._namespace)
        self._doubts.begin()


class _UnderWay:
    """Bounds what is published and not yet confirmed: the driver would buffer anything.

    What nobody waits for any more keeps its place until it has left for the broker: while the
    broker does not read, it is in the memory of this process.
    """

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(_MAX_COUNT)
        self._bytes = 0
        self._freed = asyncio.Event()
        self._leaving: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def place(self, message: _Message) -> AsyncIterator[None]:
        size = len(message.body)
        await self._take(size)
        try:
            yield
        finally:
            if message.unsure_on is None:
                self._free(size)
            else:
                task = asyncio.create_task(self._free_later(message.unsure_on, size))
                self._leaving.add(task)
                task.add_done_callback(self._leaving.discard)

    def close(self) -> None:
        for task in self._leaving:
            task.cancel()

    async def _take(self, size: int) -> None:
        await self._places.acquire()
        try:
            # A body larger than the bound goes alone.
            while self._bytes and self._bytes + size > _MAX_BYTES:
                self._freed.clear()
                await self._freed.wait()
        except BaseException:
            self._places.release()
            raise
        self._bytes += size

    def _free(self, size: int) -> None:
        self._bytes -= size
        self._places.release()
        self._freed.set()

    async def _free_later(self, channel: Channel, size: int) -> None:
        """Once all that was to be written up to now has left, or the connection is lost."""
        left = asyncio.get_running_loop().create_future()
        channel.write_queue.put_nowait(ChannelFrame(b"", should_close=False, drain_future=left))
        try:
            await asyncio.wait(
                [left, channel.connection.closing], return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            self._free(size)
