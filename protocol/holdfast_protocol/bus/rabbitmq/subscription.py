"""What was delivered on one channel and is not yet settled, within a bound of bytes."""

import asyncio
from collections.abc import Callable

from aiormq import Channel
from aiormq.abc import DeliveredMessage

from holdfast_protocol.bus.messages import Delivery
from holdfast_protocol.bus.rabbitmq.incoming import delivery_from
from holdfast_protocol.bus.rabbitmq.transport import FrameReader


class Subscription:
    """The consumer's part of one channel.

    While `max_bytes` of bodies or more are unsettled, nothing is read from the connection:
    the broker bounds the count of deliveries, and bytes it would send without an end. So the
    connection must be the consumer's own.
    """

    def __init__(
        self,
        channel: Channel,
        reader: FrameReader,
        max_bytes: int,
        arrived: Callable[[Delivery], None],
    ) -> None:
        self._channel = channel
        self._reader = reader
        self._max_bytes = max_bytes
        self._arrived = arrived
        # Delivery tags count up from 1 on each channel, so these are in their order.
        self._unsettled: dict[int, int] = {}
        self._bytes = 0
        self._ended = False
        self._taking = True
        self._surplus: list[int] = []
        # Settling frames leave in the order of taking: an ack "up to here" that overtook a
        # nack would settle what was given back.
        self._settling = asyncio.Lock()

    async def on_message(self, message: DeliveredMessage) -> None:
        """The driver's callback: it may be cancelled at any await, so it has none."""
        number = message.delivery_tag
        if number is None or self._ended:
            return
        if not self._taking and self._bytes >= self._max_bytes:
            self._surplus.append(number)
            return
        self._unsettled[number] = len(message.body)
        self._bytes += len(message.body)
        self._arrived(delivery_from(message, (self, number)))
        if self._taking and self._bytes >= self._max_bytes:
            self._reader.hold()

    async def ack(self, numbers: set[int]) -> None:
        async with self._settling:
            upto, others = self._take(numbers)
            if upto:
                await self._channel.basic_ack(upto, multiple=True, wait=False)
            for number in others:
                await self._channel.basic_ack(number, wait=False)

    async def requeue(self, numbers: set[int]) -> None:
        async with self._settling:
            upto, others = self._take(numbers)
            if upto:
                await self._channel.basic_nack(upto, multiple=True, requeue=True, wait=False)
            for number in others:
                await self._channel.basic_nack(number, requeue=True, wait=False)

    def finish(self) -> None:
        """Read on to the answer of a cancel; of what still comes, keep no more than the bound."""
        self._taking = False
        self._reader.release()

    async def give_back_surplus(self) -> None:
        """Requeue what came after `finish` and was not kept."""
        async with self._settling:
            surplus, self._surplus = self._surplus, []
            for number in surplus:
                await self._channel.basic_nack(number, requeue=True, wait=False)

    def end(self) -> None:
        """The channel is lost or given up: nothing of it counts any more."""
        self._ended = True
        self._reader.release()

    def _take(self, numbers: set[int]) -> tuple[int, list[int]]:
        """Count these as settled from now on; what is not, or no longer, unsettled is left out.

        Returns the highest of those up to which nothing remains unsettled (0: none), which
        can be settled in one go, and the others.
        """
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
            self._bytes -= self._unsettled.pop(number)
        if self._bytes < self._max_bytes:
            self._reader.release()
        return upto, others
