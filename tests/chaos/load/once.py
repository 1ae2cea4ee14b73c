"""Messages that are sent once: what the broker has confirmed may not be lost.

Everybody else asks again until an answer comes, which would hide a message that was lost. Here
nobody does. The broker may lose an answer with its process (answers are not persistent), so in
the end the events tell whether a message without one took effect.
"""

import asyncio
import time
from typing import Final

from holdfast_protocol.client import AgentClient
from tests.chaos.history import Exchange, Message
from tests.chaos.load.drawing import Drawer
from tests.chaos.load.plain import PlainSender
from tests.chaos.load.reading import read_dead_letters, read_events
from tests.chaos.load.recording import Recorder

_AT_A_TIME: Final = 10
_UNANSWERED: Final = 100  # so many at most, then it waits
_PAUSE: Final = 0.05
PATIENCE: Final = 20.0
"""Seconds within which agents that are there take effect of everything that was confirmed."""


class OnceSender:
    """Publishes saves to a collection of its own.

    Args:
        confirmed: those that the broker took, as far as they may not be answered yet.
    """

    def __init__(
        self, sender: PlainSender, recorder: Recorder, drawer: Drawer, collection: str
    ) -> None:
        self._sender = sender
        self._recorder = recorder
        self._drawer = drawer
        self._collection = collection
        self.confirmed: list[Exchange] = []
        self._unknown: list[Exchange] = []

    async def run(self) -> None:
        """Until cancelled; what is begun is published."""
        while True:
            waiting = [exchange for exchange in self.confirmed if exchange.answer is None]
            self.confirmed = waiting
            if len(waiting) < _UNANSWERED and len(self._unknown) < _UNANSWERED:
                await self.burst()
            await asyncio.sleep(_PAUSE)

    async def burst(self) -> None:
        """Publish a few at the same moment."""
        begun = [self._recorder.begin(self._save()) for _place in range(_AT_A_TIME)]
        self._unknown += begun
        taken = await asyncio.gather(*(self._sender.publish([e.message]) for e in begun))
        for exchange, confirmed in zip(begun, taken, strict=True):
            if confirmed:
                self._unknown.remove(exchange)
                self.confirmed.append(exchange)

    async def settle(self, client: AgentClient, token: str) -> list[Exchange]:
        """Those that were confirmed and may be asked again: they are known to have taken effect.

        What and has neither answer nor effect when the patience is over stays as
        it is, for the checks.
        """
        give_up_at = time.monotonic() + PATIENCE
        while True:
            waiting = [exchange for exchange in self.confirmed if exchange.answer is None]
            done = await self._done(client) if waiting else set()
            settled = [e for e in waiting if e.message["id"] in done]
            letters = await read_dead_letters(client, token) if waiting else {}
            open_ = [e for e in waiting if e.message["id"] not in done | set(letters)]
            if not open_ or time.monotonic() >= give_up_at:
                return settled
            await asyncio.sleep(1.0)

    async def _done(self, client: AgentClient) -> set[str]:
        """The messages that took effect."""
        return {event["message_id"] for event in await read_events(client, self._collection)}

    def _save(self) -> Message:
        return self._drawer.saving(self._collection)
