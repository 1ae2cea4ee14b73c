"""Messages that are sent once and answered to nobody: what the broker took may not be lost.

Everybody else asks again until an answer comes, which would hide a message that was lost. Here
nobody does: in the end there is an effect of each, or a dead letter.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tests.chaos.checks.steps import UNHEARD_OF
from tests.chaos.history import Exchange, Message
from tests.chaos.load.drawing import Drawer
from tests.chaos.load.plain import PlainSender
from tests.chaos.load.reading import Reader
from tests.chaos.load.recording import Recorder

_AT_A_TIME: Final = 4
_UNDER_WAY: Final = 12  # messages without an effect that is known: always so many, if possible
_MOST_UNDER_WAY: Final = 200  # when nothing moves
_PATIENCE: Final = 2.0  # seconds without an effect, then another few are sent all the same
_REFUSED_EACH: Final = 10  # one of so many has to be refused
_MOST_REFUSED: Final = 100  # each is a dead letter, and those are looked at one by one
_PAUSE: Final = 0.03
SILENCE: Final = 15.0
"""Seconds without any progress after which nothing more is expected of agents that are there."""


class OnceSender:
    """Publishes to a collection of its own: saves, and now and then what must be refused.

    Args:
        heard: the events of that collection, as they come.
    """

    def __init__(
        self,
        sender: PlainSender,
        recorder: Recorder,
        drawer: Drawer,
        collection: str,
        heard: Sequence[Mapping[str, Any]],
    ) -> None:
        self._sender = sender
        self._recorder = recorder
        self._drawer = drawer
        self._collection = collection
        self._heard = heard
        self._seen = 0
        self._confirmed: list[Exchange] = []
        self._under_way: set[str] = set()
        self._done_early: set[str] = set()
        self._drawn = 0

    async def run(self) -> None:
        """Until cancelled: a few are under way all the time, whoever is killed meanwhile."""
        sent_at = time.monotonic()
        while True:
            self._look()
            few = len(self._under_way) < _UNDER_WAY
            late = time.monotonic() > sent_at + _PATIENCE
            if few or (late and len(self._under_way) < _MOST_UNDER_WAY):
                await self._burst()
                sent_at = time.monotonic()
            await asyncio.sleep(_PAUSE)

    def _look(self) -> None:
        """What took effect is not under way any more."""
        for event in self._heard[self._seen :]:
            if event["message_id"] in self._under_way:
                self._under_way.remove(event["message_id"])
            else:
                self._done_early.add(event["message_id"])  # before its confirm came
        self._seen = len(self._heard)

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
        begun = [self._recorder.begin(self._draw()) for _place in range(_AT_A_TIME)]
        await asyncio.gather(*map(self._publish, begun))

    async def _publish(self, exchange: Exchange) -> None:
        if not await self._sender.publish([exchange.message], answered=False):
            return
        self._recorder.expect_effect(exchange)
        self._confirmed.append(exchange)
        message_id = exchange.message["id"]
        self._look()
        if message_id not in self._done_early and UNHEARD_OF not in exchange.message["payload"]:
            self._under_way.add(message_id)
        self._done_early.discard(message_id)

    def _draw(self) -> Message:
        message = self._drawer.saving(self._collection)
        self._drawn += 1
        if self._drawn % _REFUSED_EACH or self._drawn > _REFUSED_EACH * _MOST_REFUSED:
            return message
        return {**message, "payload": {**message["payload"], UNHEARD_OF: True}}
