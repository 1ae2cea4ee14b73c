"""Reading a stream by offset, so that it goes on where it stopped on a new channel."""

import asyncio
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime

from aiormq import Channel
from aiormq.abc import DeliveredMessage
from aiormq.exceptions import ChannelNotFoundEntity, ChannelPreconditionFailed
from pamqp.commands import Basic

from holdfast_protocol.bus.rabbitmq.connection import Link
from holdfast_protocol.bus.rabbitmq.driver import (
    ConnectionLostError,
    close_quietly,
    describe,
    lost_connections,
)

MARK = "x-holdfast-mark"

_OFFSET = "x-stream-offset"
# The broker counts chunks, which may be large, and a stream's consumer needs some prefetch.
_PREFETCH = 2
_TIMEOUT = 10.0
_NO_REPLICA = "does not have a replica"


class StreamMissingError(Exception):
    """The stream was deleted; there may be another one of its name."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """One message of a stream."""

    tag: int
    offset: int
    body: bytes
    mark: object

    def is_mark(self, mark: str | None) -> bool:
        return mark is not None and self.mark == mark


class StreamReader:
    """Reads a stream from its first message, or from the first of a time.

    `begun` tells whether it was ever open. What is read is counted on across channels.
    """

    def __init__(self, link: Link, queue: str, since: datetime | None) -> None:
        self.begun = self._opened = False
        self._link = link
        self._queue = queue
        self._start: str | int | datetime = since.astimezone(UTC) if since else "first"
        self._next = 0
        self._channel: Channel | None = None
        self._arrived: deque[Chunk] = deque()
        self._news = asyncio.Event()
        self._lost = False
        self._deleted = False

    async def open(self) -> None:
        """Consume on a new channel, from the first message that was not handed out.

        Raises ConnectionLostError, StreamMissingError, and what the broker refuses.
        """
        await self.close()
        self._arrived.clear()
        self._lost = self._deleted = False
        try:
            with lost_connections():
                self._channel = await self._link.open_channel(self._prepare)
        except ConnectionLostError as error:
            if isinstance(error.__cause__, ChannelNotFoundEntity):
                raise StreamMissingError(self._queue) from error
            raise
        except ChannelPreconditionFailed as error:
            # A stream that was declared a moment ago may not be anywhere yet.
            if _NO_REPLICA in describe(error):
                raise ConnectionLostError("the stream has no replica here yet") from error
            raise
        self.begun = self._opened = True

    def begin_again(self) -> bool:
        """Another stream of the name counts from zero, and all of it is new.

        Returns False when this was said already, and nothing was opened since.
        """
        opened, self._opened = self._opened, False
        self._start, self._next = "first", 0
        return opened

    async def next(self, timeout: float | None) -> Chunk:
        """The next message, within so many seconds.

        Raises TimeoutError, StreamMissingError, or ConnectionLostError: then it can be opened
        again.
        """
        async with asyncio.timeout(timeout):
            while not self._arrived:
                if self._deleted:
                    raise StreamMissingError(self._queue)
                if self._lost or self._channel is None:
                    raise ConnectionLostError("while reading a stream")
                self._news.clear()
                await self._news.wait()
        chunk = self._arrived.popleft()
        await self._settle(chunk)
        self._start = self._next = chunk.offset + 1
        return chunk

    async def close(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            await close_quietly(channel)

    async def _prepare(self, channel: Channel) -> None:
        await channel.basic_qos(prefetch_count=_PREFETCH, timeout=_TIMEOUT)
        channel.closing.add_done_callback(lambda _: self._on_lost(channel))
        channel.on_consumer_cancel_callbacks.add(self._on_broker_cancel)
        self._channel = channel
        await channel.basic_consume(
            self._queue, self._on_message, arguments={_OFFSET: self._start}, timeout=_TIMEOUT
        )
        # The broker answers in order: after this it has found the place to read from.
        await channel.queue_declare(self._queue, passive=True, timeout=_TIMEOUT)

    async def _on_message(self, message: DeliveredMessage) -> None:
        """The driver's callback: it may be cancelled at any await, so it has none."""
        headers = message.header.properties.headers or {}
        offset, tag = headers.get(_OFFSET), message.delivery_tag
        if message.channel is not self._channel or tag is None or not isinstance(offset, int):
            return
        # The broker may begin with the part of the stream that holds the offset.
        if offset >= self._next:
            self._arrived.append(Chunk(tag, offset, message.body, headers.get(MARK)))
            self._news.set()

    async def _settle(self, chunk: Chunk) -> None:
        """Let the broker send another one."""
        if self._channel is not None:
            with lost_connections():
                await self._channel.basic_ack(chunk.tag, multiple=True, wait=False)

    def _on_lost(self, channel: Channel) -> None:
        if channel is self._channel:
            self._lost = True
            self._news.set()

    def _on_broker_cancel(self, _: Basic.Cancel) -> None:
        # Of a stream, the broker cancels a consumer for nothing else: a new leader reads on.
        self._deleted = True
        self._news.set()
