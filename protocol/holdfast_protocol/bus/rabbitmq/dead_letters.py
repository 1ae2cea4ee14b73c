"""A walk through the dead letters of a broker."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aiormq.abc import DeliveredMessage
from aiormq.exceptions import AMQPError, ChannelNotFoundEntity

from holdfast_protocol.bus.deadletters import MAX_TAKEN_BYTES, check_limit, dead_letter_from
from holdfast_protocol.bus.messages import DeadLetter
from holdfast_protocol.bus.rabbitmq.connection import Link
from holdfast_protocol.bus.rabbitmq.deaths import death_from
from holdfast_protocol.bus.rabbitmq.driver import (
    REFUSED,
    ConnectionLostError,
    close_quietly,
    describe,
    lost_connections,
    refusal,
)
from holdfast_protocol.bus.rabbitmq.incoming import texts
from holdfast_protocol.bus.rabbitmq.intake import Held, Intake, Portions
from holdfast_protocol.bus.rabbitmq.renewing import Renewal, unprepared
from holdfast_protocol.bus.rabbitmq.topology import dead_letters_queue
from holdfast_protocol.errors import BusClosedError, HoldfastError, UnavailableError

_log = logging.getLogger("holdfast.bus")

_LOST = "The walk through the dead letters was lost"
_NONE = "There are no dead letters of the namespace {!r}: is it the right one?"


class RabbitWalk:
    """One walk, on a channel of its own: what it took, the channel holds until it closes.

    `timeout` bounds each wait for the broker, in seconds. The channel is not made again: its
    letters are back in the queue once it is lost, and others may have taken them.

    What was given back often goes back as a copy, at the end of the walk; of many, some do
    when the next ones are taken, and cannot be removed by this walk any more. A death at that
    may leave both.
    """

    def __init__(self, link: Link, namespace: str, timeout: float) -> None:
        self.total = 0
        self._link = link
        self._namespace = namespace
        self._queue = dead_letters_queue(namespace)
        self._timeout = timeout
        self._left = 0
        self._held = Held()
        self._renewal = Renewal(link, self._queue, timeout)
        self._renewed: set[int] = set()
        self._intake: Intake | None = None
        self._portions = Portions()
        self._turn = asyncio.Lock()
        self._closed = False

    async def start(self, timeout: float) -> None:
        """Open the channel and count.

        Nothing is declared: whoever mistypes a namespace is to be told, and to leave no trace.
        Raises UnavailableError, with `details.reason` when there is no queue of dead letters.
        """
        async with self._unavailability(timeout):
            channel = await self._link.open_channel(unprepared)
            self._intake = Intake(channel, self._queue, self._timeout)
            try:
                self.total = self._left = await self._intake.count()
            except ChannelNotFoundEntity as error:
                text = _NONE.format(self._namespace)
                raise UnavailableError(text, {"reason": type(error).__name__}) from error

    async def take(self, limit: int) -> list[DeadLetter]:
        check_limit(limit)
        async with self._turn:
            intake = self._open_intake()
            if self._renewal.is_full:
                await self._renew(intake)
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

    async def _fetch(self, intake: Intake, most: int, room: int) -> None:
        wanted = min(most, self._left, self._portions.next(room))
        async with self._use(intake):
            complete = await intake.fetch(wanted)
        self._portions.note([len(message.body) for message in intake.arrived])
        if not complete:
            self._left = len(intake.arrived)

    async def remove(self, letters: Sequence[DeadLetter]) -> None:
        """As the contract says. It may have a letter in memory, which the next take gives, for
        each 16 that were not removed in the order of the walk without a gap.

        Also raises UnavailableError for letters that went back already as copies.
        """
        numbers = {
            letter.tag[1]
            for letter in letters
            if isinstance(letter.tag, tuple) and letter.tag[0] is self
        }
        async with self._turn:
            intake = self._open_intake()
            async with self._use(intake):
                self._renewal.forget(numbers)
                await self._held.remove(intake, numbers)
        if numbers & self._renewed:
            raise UnavailableError("Some of these dead letters were given back already")

    async def close(self) -> None:
        """Give back what was not removed. Takes some seconds at most if the broker hangs."""
        self._closed = True
        intake, self._intake = self._intake, None
        if intake is None:
            return
        try:
            # Whoever still uses it is about to be told that it is over.
            if not self._turn.locked() and not intake.lost:
                for message in intake.arrived:
                    self._dead_letter(message)
                await self._renew(intake)
        except HoldfastError as error:
            _log.warning("Dead letters may be there twice now: %s", describe(error.__cause__))
        finally:
            await self._renewal.close()
            await close_quietly(intake.channel)

    async def _renew(self, intake: Intake) -> None:
        """Give those that are due back as copies."""
        while confirmed := await self._renewal.publish_some():
            self._renewed |= confirmed
            async with self._use(intake):
                await self._held.remove(intake, confirmed)

    def _dead_letter(self, message: DeliveredMessage) -> DeadLetter:
        number = self._held.add(message)
        properties = message.header.properties
        headers = properties.headers or {}
        letter = dead_letter_from(
            body=message.body,
            # Through the default exchange come copies: their route is in our header.
            routing_key=(message.exchange and message.routing_key) or "",
            message_id=properties.message_id or None,
            reply_to=properties.reply_to or None,
            correlation_id=properties.correlation_id or None,
            headers=texts(headers),
            death=death_from(headers, self._namespace),
            tag=(self, number),
        )
        self._renewal.note(number, message, letter)
        return letter

    def _open_intake(self) -> Intake:
        if self._intake is None or self._closed:
            raise BusClosedError("The walk through the dead letters is over")
        return self._intake

    @asynccontextmanager
    async def _use(self, intake: Intake) -> AsyncIterator[None]:
        """Use of the channel, which ends with it when it is not completed."""
        try:
            async with self._unavailability(None):
                yield
        except BaseException:
            # What is still to come would be held, and met by nobody.
            await close_quietly(intake.channel)
            raise

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
