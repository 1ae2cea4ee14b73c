"""A walk through the dead letters of a broker."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aiormq import Channel
from aiormq.abc import DeliveredMessage
from aiormq.exceptions import AMQPError

from holdfast_protocol.bus.deadletters import MAX_TAKEN_BYTES, check_limit, dead_letter_from
from holdfast_protocol.bus.messages import DeadLetter
from holdfast_protocol.bus.rabbitmq.connection import Link
from holdfast_protocol.bus.rabbitmq.deaths import death_from
from holdfast_protocol.bus.rabbitmq.driver import (
    REFUSED,
    ConnectionLostError,
    close_quietly,
    lost_connections,
    refusal,
)
from holdfast_protocol.bus.rabbitmq.incoming import texts
from holdfast_protocol.bus.rabbitmq.topology import dead_letters_queue, declare_exchanges
from holdfast_protocol.errors import BusClosedError, UnavailableError


class RabbitWalk:
    """One walk, on a channel of its own: what it took, the channel holds until it closes.

    `timeout` bounds each wait for the broker, in seconds. The channel is not made again: its
    letters are back in the queue once it is lost, and others may have taken them.
    """

    def __init__(self, link: Link, namespace: str, timeout: float) -> None:
        self.total = 0
        self._link = link
        self._namespace = namespace
        self._timeout = timeout
        self._queue = dead_letters_queue(namespace)
        self._left = 0
        self._held: set[int] = set()
        self._channel: Channel | None = None
        self._closed = False

    async def start(self, timeout: float) -> None:
        """Open the channel and count. Raises UnavailableError."""
        async with self._unavailability(timeout):
            self._channel = await self._link.open_channel(self._prepare)
            self.total = self._left = await self._count(self._channel)

    async def take(self, limit: int) -> list[DeadLetter]:
        check_limit(limit)
        self._open_channel()
        taken: list[DeadLetter] = []
        size = 0
        while self._left and len(taken) < limit and size < MAX_TAKEN_BYTES:
            letter = await self._get()
            if letter is None:
                self._left = 0
                break
            self._left -= 1
            taken.append(letter)
            size += len(letter.body)
        return taken

    async def remove(self, letters: Sequence[DeadLetter]) -> None:
        numbers = [
            letter.tag[1]
            for letter in letters
            if isinstance(letter.tag, tuple) and letter.tag[0] is self
        ]
        channel = self._open_channel()
        async with self._unavailability(self._timeout):
            for number in numbers:
                if number in self._held:
                    await channel.basic_ack(number, wait=False)
                    self._held.discard(number)
            # The broker answers in order: after this it has read the acks.
            await self._count(channel)

    async def close(self) -> None:
        """Give back what was not removed."""
        self._closed = True
        channel, self._channel = self._channel, None
        if channel is not None:
            await close_quietly(channel)

    async def _prepare(self, channel: Channel) -> None:
        await declare_exchanges(channel, self._namespace)

    async def _count(self, channel: Channel) -> int:
        declared = await channel.queue_declare(self._queue, passive=True, timeout=self._timeout)
        return declared.message_count or 0

    async def _get(self) -> DeadLetter | None:
        channel = self._open_channel()
        async with self._unavailability(self._timeout):
            message = await channel.basic_get(self._queue, timeout=self._timeout)
        number = message.delivery_tag
        if number is None:
            return None
        self._held.add(number)
        return self._dead_letter(message, number)

    def _dead_letter(self, message: DeliveredMessage, number: int) -> DeadLetter:
        properties = message.header.properties
        headers = properties.headers or {}
        return dead_letter_from(
            body=message.body,
            routing_key=message.routing_key or "",
            message_id=properties.message_id or None,
            reply_to=properties.reply_to or None,
            correlation_id=properties.correlation_id or None,
            headers=texts(headers),
            death=death_from(headers, self._namespace),
            tag=(self, number),
        )

    def _open_channel(self) -> Channel:
        if self._channel is None or self._closed:
            raise BusClosedError("The walk through the dead letters is over")
        return self._channel

    @asynccontextmanager
    async def _unavailability(self, timeout: float) -> AsyncIterator[None]:
        """Whatever ends the walk, as UnavailableError."""
        try:
            async with asyncio.timeout(timeout):
                with lost_connections():
                    yield
        except REFUSED as error:
            raise refusal(error) from error
        except (TimeoutError, ConnectionLostError, AMQPError) as error:
            if self._closed:
                raise BusClosedError("The bus was closed") from error
            raise UnavailableError("The walk through the dead letters was lost") from error
