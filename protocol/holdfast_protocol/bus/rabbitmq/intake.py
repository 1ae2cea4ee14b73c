"""What a walk through the dead letters takes from the broker, and how it is surely acked."""

import asyncio
from collections import deque
from collections.abc import Sequence

from aiormq import Channel
from aiormq.abc import DeliveredMessage
from pamqp.commands import Basic

from holdfast_protocol.bus.rabbitmq.driver import ConnectionLostError

_MOST_AT_ONCE = 32  # letters asked for at once: more gain little, and each may have 16 MiB
_GROWTH = 8
_PAUSE = 0.1  # seconds without a letter, after which the broker is asked whether there are more
# Half of what a channel has under way to a quorum queue before it parks further acks (the
# broker's quorum_commands_soft_limit): those that it had not yet seen carried out count too.
_MOST_ACKS = 16


class Portions:
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


class Intake:
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

    async def fetch(self, wanted: int, pause: float = _PAUSE) -> bool:
        """Until so many more have arrived; False when there were not so many.

        Each of them may take the timeout. Raises TimeoutError and what the driver raises.

        Args:
            pause: seconds without a letter, after which the broker is first asked for more.
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
        while len(self.arrived) < expected and await self._more(pause):
            pass
        # So that what is removed later makes no room for others. The broker answers in order:
        # what it had delivered has arrived.
        await self.channel.basic_cancel(tag, timeout=self._timeout)
        return len(self.arrived) >= expected

    async def flush(self) -> None:
        """Until the queue has carried out the acks that were sent; at most 16 since the last time.

        Only what waits for the queue itself tells that, as a new consumer does (the answer to a
        passive declare does not). Acks beyond the limit would be parked in the channel, and be
        dropped with it (rabbitmq-server issue 10327). The consumer takes a letter, if there is
        one: it has arrived, as any other.
        """
        await self.fetch(1, pause=0.0)

    async def _more(self, pause: float) -> bool:
        """Wait for another letter; False when none will come."""
        before = len(self.arrived)
        async with asyncio.timeout(self._timeout):
            while len(self.arrived) == before:
                if self.lost:
                    raise ConnectionLostError("during a walk")
                self._news.clear()
                # Others may have taken what was there at the opening.
                if not await self._has_news(pause) and not await self.count():
                    return False
                pause = _PAUSE
        return True

    async def _has_news(self, pause: float) -> bool:
        try:
            async with asyncio.timeout(pause):
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


class Held:
    """The letters that a walk has given out and that its channel holds, by delivery tag."""

    def __init__(self) -> None:
        self._consumers: dict[int, str] = {}
        self._acked_upto = 0

    def add(self, message: DeliveredMessage) -> int:
        """Its number among those of the channel."""
        number = message.delivery_tag or 0
        self._consumers[number] = message.consumer_tag or ""
        return number

    async def remove(self, intake: Intake, numbers: set[int]) -> None:
        """Ack them, as far as they are held; what this returns for is gone.

        A letter may arrive for every 16 acks. Raises what `Intake.fetch` raises.
        """
        acks = self._acks(self._consumers.keys() & numbers)
        if not acks:
            await intake.count()  # whoever asks for nothing is told, too, when the walk is lost
        for start in range(0, len(acks), _MOST_ACKS):
            for number, multiple in acks[start : start + _MOST_ACKS]:
                await intake.channel.basic_ack(number, multiple=multiple, wait=False)
            await intake.flush()

    def _acks(self, numbers: set[int]) -> list[tuple[int, bool]]:
        """Tag and `multiple` of each ack: together they ack the numbers and nothing else.

        Each is one command to the queue: the broker sends it one for each consumer.
        """
        upto = self._acked_upto
        runs: dict[str, int] = {}
        # All at once where no number is missing: one that is not known here may be held too.
        while upto + 1 in numbers:
            upto += 1
            runs[self._consumers[upto]] = upto
        self._acked_upto = upto
        for number in numbers:
            del self._consumers[number]
        singles = sorted(number for number in numbers if number > upto)
        return [(last, True) for last in runs.values()] + [(number, False) for number in singles]
