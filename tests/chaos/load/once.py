"""Messages that are sent once and answered to nobody: what the broker took may not be lost.

Everybody else asks again until an answer comes, which would hide a message that was lost. Here
nobody does: in the end there is an effect of each, or a dead letter.
"""

import asyncio
import time
from typing import Final

from tests.chaos.history import Exchange, Message
from tests.chaos.load.drawing import Drawer
from tests.chaos.load.plain import PlainSender
from tests.chaos.load.reading import Reader
from tests.chaos.load.recording import Recorder

_AT_A_TIME: Final = 10
_EVERY: Final = 150  # answers to others between two bursts: it stops when everybody has to wait
_MOST_REFUSED: Final = 100  # each is a dead letter, and those are looked at one by one
SILENCE: Final = 15.0
"""Seconds without any progress after which nothing more is expected of agents that are there."""


class OnceSender:
    """Publishes to a collection of its own: saves, and now and then what must be refused."""

    def __init__(
        self, sender: PlainSender, recorder: Recorder, drawer: Drawer, collection: str
    ) -> None:
        self._sender = sender
        self._recorder = recorder
        self._drawer = drawer
        self._collection = collection
        self._confirmed: list[Exchange] = []
        self._refused = 0

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            answered = self._recorder.answered
            await self._burst()
            while self._recorder.answered < answered + _EVERY:
                await self._recorder.news()

    async def settle(self, reader: Reader, token: str) -> None:
        """Until each that was confirmed has an effect or is dead, or nothing happens any more.

        What was not confirmed may have arrived or not: like others it waits for an answer.
        """
        open_, progress_at = len(self._confirmed), time.monotonic()
        while open_ and time.monotonic() < progress_at + SILENCE:
            events = await reader.events(self._collection)
            done = {event["message_id"] for event in events}
            done |= set(await reader.dead_letters(token))
            left = sum(exchange.message["id"] not in done for exchange in self._confirmed)
            if left < open_:
                open_, progress_at = left, time.monotonic()
            if left:
                await asyncio.sleep(1.0)

    async def _burst(self) -> None:
        """Publish a few at the same moment."""
        begun = [self._recorder.begin(self._drawn()) for _place in range(_AT_A_TIME)]
        await asyncio.gather(*map(self._publish, begun))

    async def _publish(self, exchange: Exchange) -> None:
        if await self._sender.publish([exchange.message], answered=False):
            self._recorder.expect_effect(exchange)
            self._confirmed.append(exchange)

    def _drawn(self) -> Message:
        message = self._drawer.saving(self._collection)
        self._refused += 1
        if self._refused % _AT_A_TIME or self._refused > _AT_A_TIME * _MOST_REFUSED:
            return message
        return {**message, "payload": {**message["payload"], "unheard_of": True}}
