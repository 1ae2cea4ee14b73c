"""What was delivered on one channel and is not yet settled, within a bound of bytes."""

import asyncio
from collections.abc import Callable, Iterable

from aiormq import Channel
from aiormq.abc import DeliveredMessage

from holdfast_protocol.bus.messages import Delivery
from holdfast_protocol.bus.rabbitmq.incoming import delivery_from
from holdfast_protocol.bus.rabbitmq.transport import FrameReader

_HELD_SECONDS = 10.0  # the broker closes a connection that takes nothing for about 30


class Room:
    """How many bytes of bodies a consumer may have in its hands, over all its channels.

    Deliveries of a lost channel cannot be settled any more, but they still need their memory
    until the caller is done with them: those are `left_over`.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self.left_over = 0

    def is_full_with(self, size: int) -> bool:
        return self.left_over + size >= self._max_bytes


class Subscription:
    """The consumer's part of one channel.

    While there is no room, nothing is read from the connection: the broker bounds the count
    of deliveries, and bytes it would send without an end. So the connection must be the
    consumer's own. `held_long` is called when that lasts: the broker would end it.

    `consumer_tag` is None while nothing is consumed.
    """

    def __init__(
        self,
        channel: Channel,
        reader: FrameReader,
        room: Room,
        arrived: Callable[[Delivery], None],
        held_long: Callable[[], None],
    ) -> None:
        self.consumer_tag: str | None = None
        self.room = room
        self._channel = channel
        self._reader = reader
        self._arrived = arrived
        self._held_long = held_long
        self._held: asyncio.TimerHandle | None = None
        # Delivery tags count up from 1 on each channel, so these are in their order.
        self._unsettled: dict[int, int] = {}
        self._bytes = 0
        # What the caller is done with, though it may not have been settled.
        self._named: set[int] = set()
        self._ended = False
        self._taking = True
        self._surplus: list[int] = []
        # Settling frames leave in the order of taking: an ack "up to here" that overtook a
        # nack would settle what was given back.
        self._settling = asyncio.Lock()

    @property
    def is_full(self) -> bool:
        return self.room.is_full_with(self._bytes)

    async def on_message(self, message: DeliveredMessage) -> None:
        """The driver's callback: it may be cancelled at any await, so it has none."""
        number = message.delivery_tag
        if number is None or self._ended:
            return
        if not self._taking and self.is_full:
            self._surplus.append(number)
            return
        self._unsettled[number] = len(message.body)
        self._bytes += len(message.body)
        self._arrived(delivery_from(message, (self, number)))
        if self._taking and self.is_full:
            self._hold()

    async def ack(self, numbers: set[int]) -> None:
        """Settle as done; of a channel that is lost, only count them as settled."""
        self._named |= numbers
        async with self._settling:
            upto, others = self._take(numbers)
            if self._ended:
                return
            if upto:
                await self._channel.basic_ack(upto, multiple=True, wait=False)
            for number in others:
                await self._channel.basic_ack(number, wait=False)

    async def requeue(self, numbers: set[int]) -> None:
        """Give back; of a channel that is lost, only count them as settled."""
        self._named |= numbers
        async with self._settling:
            upto, others = self._take(numbers)
            if self._ended:
                return
            if upto:
                await self._channel.basic_nack(upto, multiple=True, requeue=True, wait=False)
            for number in others:
                await self._channel.basic_nack(number, requeue=True, wait=False)

    def finish(self) -> None:
        """Read on to the answer of a cancel; of what still comes, keep no more than the bound."""
        self._taking = False
        self._release()

    def resume(self) -> None:
        """Take again, after `finish`."""
        self._taking = True

    def make_use_of_room(self) -> None:
        """Read on if there is room, which others may have made too."""
        if not self.is_full:
            self._release()

    async def give_back_surplus(self) -> None:
        """Requeue what came after `finish` and was not kept."""
        async with self._settling:
            surplus, self._surplus = self._surplus, []
            for number in surplus:
                await self._channel.basic_nack(number, requeue=True, wait=False)

    def end(self, not_received: Iterable[int]) -> None:
        """The channel is lost or given up: of it, only what the caller has still counts."""
        self._release()
        for number in (*not_received, *self._named):
            self._bytes -= self._unsettled.pop(number, 0)
        self._ended = True
        self.room.left_over += self._bytes

    def _hold(self) -> None:
        self._reader.hold()
        if self._held is None:
            loop = asyncio.get_running_loop()
            self._held = loop.call_later(_HELD_SECONDS, self._held_long)

    def _release(self) -> None:
        self._reader.release()
        if self._held is not None:
            self._held.cancel()
            self._held = None

    def _take(self, numbers: set[int]) -> tuple[int, list[int]]:
        """Count these as settled from now on; what is not, or no longer, unsettled is left out.

        Returns the highest of those up to which nothing remains unsettled (0: none), which
        can be settled in one go, and the others.
        """
        self._named -= numbers
        prefix = []
        for number in self._unsettled:
            if number not in numbers:
                break
            prefix.append(number)
        upto = prefix[-1] if prefix else 0
        if self._surplus and self._surplus[0] <= upto:
            # "Up to here" would settle what was never handed out.
            upto, prefix = 0, []
        others = sorted(n for n in numbers if n > upto and n in self._unsettled)
        for number in (*prefix, *others):
            size = self._unsettled.pop(number)
            self._bytes -= size
            if self._ended:
                self.room.left_over -= size
        self.make_use_of_room()
        return upto, others
