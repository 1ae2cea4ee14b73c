"""A walk through the dead letters of a broker."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aiormq import Channel
from aiormq.abc import DeliveredMessage
from aiormq.exceptions import AMQPError
from pamqp.commands import Basic

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

_MOST_AT_ONCE = 32  # letters asked for at once: more gain little, and each may have 16 MiB
_GROWTH = 8
_PAUSE = 0.1  # seconds without a letter, after which the broker is asked whether there are more
_LOST = "The walk through the dead letters was lost"


class _Portions:
    """How many letters to ask for at once: one, then more while their bodies are small.

    The broker sends whatever was asked for, however large it turns out to be.
    """

    def __init__(self) -> None:
        self._count = 1
        self._largest = 1

    def next(self, room: int) -> int:
        """As many as fit into so many bytes if none is larger than the last ones; at least 1."""
        return max(1, min(self._count, room // self._largest))

    def note(self, sizes: Sequence[int]) -> None:
        """Bodies of such sizes came."""
        self._count = min(self._count * _GROWTH, _MOST_AT_ONCE)
        self._largest = max(1, self._largest // 2, *sizes)


class _Intake:
    """What the broker delivers on a channel, to one short-lived consumer after the other.

    Each is to deliver so many letters and no more, and is cancelled when they have come: the
    channel still holds them, and the rest is left to others. Getting them one by one instead
    would cost a round trip, and the broker a write to its disk, for each.
    """

    def __init__(self, channel: Channel, queue: str, timeout: float) -> None:
        self.channel = channel
        self.arrived: deque[DeliveredMessage] = deque()
        self._queue = queue
        self._timeout = timeout
        self._prefetch = 0
        self._consumers = 0
        self._lost = False
        self._news = asyncio.Event()
        channel.closing.add_done_callback(lambda _: self._on_lost())
        channel.on_consumer_cancel_callbacks.add(self._on_broker_cancel)

    @property
    def lost(self) -> bool:
        """Whether the channel holds nothing any more."""
        return self._lost or self.channel.is_closed

    async def count(self) -> int:
        """How many letters nobody holds."""
        declared = await self.channel.queue_declare(
            self._queue, passive=True, timeout=self._timeout
        )
        return declared.message_count or 0

    async def fetch(self, wanted: int) -> bool:
        """Until so many more have arrived; False when there were not so many.

        Each of them may take the timeout. Raises TimeoutError and what the driver raises.
        """
        expected = len(self.arrived) + wanted
        if wanted != self._prefetch:
            await self.channel.basic_qos(prefetch_count=wanted, timeout=self._timeout)
            self._prefetch = wanted
        self._consumers += 1
        # The broker gives back by the order of these names, as long as there are not many.
        tag = f"walk-{self._consumers:010}"
        await self.channel.basic_consume(
            self._queue, self._on_message, consumer_tag=tag, timeout=self._timeout
        )
        while len(self.arrived) < expected and await self._more():
            pass
        # So that what is removed later makes no room for others. The broker answers in order:
        # what it had delivered has arrived.
        await self.channel.basic_cancel(tag, timeout=self._timeout)
        return len(self.arrived) >= expected

    async def _more(self) -> bool:
        """Wait for another letter; False when none will come."""
        before = len(self.arrived)
        async with asyncio.timeout(self._timeout):
            while len(self.arrived) == before:
                if self.lost:
                    raise ConnectionLostError("during a walk")
                self._news.clear()
                # Others may have taken what was there at the opening.
                if not await self._has_news() and not await self.count():
                    return False
        return True

    async def _has_news(self) -> bool:
        try:
            async with asyncio.timeout(_PAUSE):
                return await self._news.wait()
        except TimeoutError:
            return False

    async def _on_message(self, message: DeliveredMessage) -> None:
        """The driver's callback: it may be cancelled at any await, so it has none."""
        self.arrived.append(message)
        self._news.set()

    def _on_broker_cancel(self, _: Basic.Cancel) -> None:
        self._on_lost()

    def _on_lost(self) -> None:
        self._lost = True
        self._news.set()


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
        self._left = 0
        self._held: set[int] = set()
        self._removed_upto = 0
        self._intake: _Intake | None = None
        self._portions = _Portions()
        self._taking = asyncio.Lock()
        self._closed = False

    async def start(self, timeout: float) -> None:
        """Open the channel and count. Raises UnavailableError."""
        async with self._unavailability(timeout):
            channel = await self._link.open_channel(self._prepare)
            queue = dead_letters_queue(self._namespace)
            self._intake = _Intake(channel, queue, self._timeout)
            self.total = self._left = await self._intake.count()

    async def take(self, limit: int) -> list[DeadLetter]:
        check_limit(limit)
        async with self._taking:
            intake = self._open_intake()
            taken: list[DeadLetter] = []
            room = MAX_TAKEN_BYTES
            while room > 0 and self._left and len(taken) < limit:
                # More may have arrived the last time than there was room for.
                if not intake.arrived:
                    await self._fetch(intake, limit - len(taken), room)
                    continue
                if intake.lost:
                    raise UnavailableError(_LOST)
                letter = self._dead_letter(intake.arrived.popleft())
                self._left -= 1
                room -= len(letter.body)
                taken.append(letter)
            return taken

    async def _fetch(self, intake: _Intake, most: int, room: int) -> None:
        wanted = min(most, self._left, self._portions.next(room))
        try:
            async with self._unavailability(None):
                complete = await intake.fetch(wanted)
        except BaseException:
            # What is still to come would be held, and met by nobody.
            await close_quietly(intake.channel)
            raise
        self._portions.note([len(message.body) for message in intake.arrived])
        if not complete:
            self._left = len(intake.arrived)

    async def remove(self, letters: Sequence[DeadLetter]) -> None:
        numbers = {
            letter.tag[1]
            for letter in letters
            if isinstance(letter.tag, tuple) and letter.tag[0] is self
        }
        intake = self._open_intake()
        async with self._unavailability(self._timeout):
            await self._settle(intake.channel, numbers & self._held)
            # The broker answers in order: after this it has read the acks.
            await intake.count()

    async def close(self) -> None:
        """Give back what was not removed."""
        self._closed = True
        intake, self._intake = self._intake, None
        if intake is not None:
            await close_quietly(intake.channel)

    async def _settle(self, channel: Channel, numbers: set[int]) -> None:
        self._held -= numbers
        # All at once where no number is missing: one that is not known here may be held too.
        upto = self._removed_upto
        while upto + 1 in numbers:
            upto += 1
        if upto > self._removed_upto:
            self._removed_upto = upto
            await channel.basic_ack(upto, multiple=True, wait=False)
        for number in sorted(numbers):
            if number > upto:
                await channel.basic_ack(number, wait=False)

    async def _prepare(self, channel: Channel) -> None:
        await declare_exchanges(channel, self._namespace)

    def _dead_letter(self, message: DeliveredMessage) -> DeadLetter:
        number = message.delivery_tag or 0
        self._held.add(number)
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

    def _open_intake(self) -> _Intake:
        if self._intake is None or self._closed:
            raise BusClosedError("The walk through the dead letters is over")
        return self._intake

    @asynccontextmanager
    async def _unavailability(self, timeout: float | None) -> AsyncIterator[None]:
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
            raise UnavailableError(_LOST) from error
