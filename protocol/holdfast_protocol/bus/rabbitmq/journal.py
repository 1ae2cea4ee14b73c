"""The journal: a stream of the broker, appended to with confirms and read by offset."""

import asyncio
import logging
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import datetime

from aiormq import Channel
from aiormq.exceptions import ChannelNotFoundEntity
from pamqp.commands import Basic

from holdfast_protocol.bus.rabbitmq.connection import Link
from holdfast_protocol.bus.rabbitmq.driver import (
    REFUSED,
    ConnectionLostError,
    close_quietly,
    refusal,
)
from holdfast_protocol.bus.rabbitmq.publisher import Publisher, RejectedError, UnroutableError
from holdfast_protocol.bus.rabbitmq.streaming import MARK, StreamMissingError, StreamReader
from holdfast_protocol.bus.rabbitmq.topology import declare_journal, journal_queue
from holdfast_protocol.errors import BusClosedError, UnavailableError

_log = logging.getLogger("holdfast.bus")

_PERSISTENT = 2
_FIRST_DELAY = 0.1
_LONGEST_DELAY = 5.0


class Journal:
    """Appends to and reads the journal of a namespace.

    `link` declares and reads, `publishing` appends; `timeout` bounds, in seconds, each wait for
    the broker.

    What is appended has a channel of its own, on which nothing else is ever published: when a
    stream's leader changes, RabbitMQ 3 numbers what it has to send again by the channel's count
    of publications instead of the stream's. Where the two differ, later appends are confirmed
    and thrown away as duplicates (rabbitmq-server pull request 12236).
    """

    def __init__(self, link: Link, publishing: Link, namespace: str, timeout: float) -> None:
        self._link = link
        self._publishing = publishing
        self._publisher: Publisher | None = None
        self._namespace = namespace
        self._timeout = timeout
        self._queue = journal_queue(namespace)
        self._declared = False
        self._declaring = asyncio.Lock()
        self._starting = asyncio.Lock()
        self._closed = False

    async def close(self) -> None:
        """Append no more; what is under way ends in BusClosedError or UnavailableError."""
        self._closed = True
        if self._publisher is not None:
            await self._publisher.close()

    async def append(self, body: bytes) -> None:
        """Append one chunk, confirmed. Raises UnavailableError."""
        await self._declare()
        try:
            await self._publish(body, mark=None)
        except UnroutableError:
            # Somebody deleted it since: an operator may start a new one so.
            self._declared = False
            await self._declare()
            try:
                await self._publish(body, mark=None)
            except UnroutableError as error:
                raise UnavailableError("The journal is missing") from error

    async def read(self, since: datetime | None, *, follow: bool) -> AsyncGenerator[bytes, None]:
        """The chunks from the first, or those since a time, in order. Raises UnavailableError.

        The end is found by a mark, an empty chunk that is appended once the reading has begun:
        the broker tells nobody where a stream ends.
        """
        if follow:
            await self._declare()
        elif not await self._exists():
            return
        mark = None if follow else secrets.token_hex(16)
        reader = StreamReader(self._link, self._queue, since)
        waited = delay = 0.0
        try:
            while True:
                try:
                    await self._begin(reader, mark)
                    while not (chunk := await reader.next(self._limit(follow))).is_mark(mark):
                        waited = delay = 0.0
                        if chunk.body:
                            yield chunk.body
                    return
                except REFUSED as error:
                    raise refusal(error) from error
                except ConnectionLostError as error:
                    if not follow and waited > self._timeout:
                        raise UnavailableError("The journal cannot be read") from error
                    await asyncio.sleep(delay)
                    waited += delay
                    delay = min(max(delay * 2, _FIRST_DELAY), _LONGEST_DELAY)
                except StreamMissingError as error:
                    if not follow:
                        raise UnavailableError("The journal was deleted") from error
                    if reader.begin_again():
                        _log.warning("The journal was deleted; waiting for a new one to follow")
                    # It is for those who append to declare a new one.
                    await asyncio.sleep(delay)
                    delay = min(max(delay * 2, _FIRST_DELAY), _LONGEST_DELAY)
                except TimeoutError as error:
                    raise UnavailableError("The journal cannot be read in time") from error
        finally:
            await reader.close()

    def _limit(self, follow: bool) -> float | None:
        """How long the next chunk may take: one that follows waits for what is not there yet."""
        return None if follow else self._timeout

    async def _begin(self, reader: StreamReader, mark: str | None) -> None:
        """Read on where it stopped, and mark the end anew: the last mark may not be there."""
        async with asyncio.timeout(self._limit(mark is None and reader.begun)):
            await reader.open()
        if mark is not None:
            try:
                await self._publish(b"", mark)
            except UnroutableError as error:
                raise UnavailableError("The journal was deleted") from error

    async def _publish(self, body: bytes, mark: str | None) -> None:
        properties = Basic.Properties(
            delivery_mode=_PERSISTENT, headers={MARK: mark} if mark else None
        )
        publisher = self._publisher or await self._start()
        try:
            await publisher.publish("", self._queue, body, properties)
        except RejectedError as error:
            raise UnavailableError("The journal takes nothing now") from error
        except UnroutableError:
            # The channel has counted it, and another stream of the name has not.
            publisher.supervisor.recycle()
            raise

    async def _start(self) -> Publisher:
        async with self._starting:
            if self._closed:
                raise BusClosedError("The bus was closed")
            if self._publisher is None:
                publisher = Publisher(
                    self._publishing, self._namespace, self._timeout, name="journal channel"
                )
                await publisher.supervisor.start(self._timeout)
                if self._closed:
                    await publisher.close()
                self._publisher = publisher
            return self._publisher

    async def _declare(self) -> None:
        async with self._declaring:
            if not self._declared:

                async def declare(channel: Channel) -> None:
                    await declare_journal(channel, self._namespace)

                await self._ask(declare)
                self._declared = True

    async def _exists(self) -> bool:
        exists = True

        async def look(channel: Channel) -> None:
            nonlocal exists
            try:
                await channel.queue_declare(self._queue, passive=True, timeout=self._timeout)
            except ChannelNotFoundEntity:
                exists = False

        await self._ask(look)
        return exists

    async def _ask(self, ask: Callable[[Channel], Awaitable[None]]) -> None:
        """Ask something on a channel of its own, again while connections are lost.

        Raises UnavailableError.
        """
        try:
            async with asyncio.timeout(self._timeout):
                await self._ask_patiently(ask)
        except REFUSED as error:
            raise refusal(error) from error
        except TimeoutError as error:
            raise UnavailableError("The broker does not answer for the journal") from error

    async def _ask_patiently(self, ask: Callable[[Channel], Awaitable[None]]) -> None:
        delay = _FIRST_DELAY
        while True:
            try:
                channel = await self._link.open_channel(ask)
            except ConnectionLostError:
                await asyncio.sleep(delay)
                delay = min(delay * 2, _LONGEST_DELAY)
            else:
                await close_quietly(channel)
                return
