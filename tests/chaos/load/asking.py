"""A message is asked until it is answered, always under its id; some are sent twice on purpose."""

import asyncio
import time
from collections.abc import Coroutine, Sequence
from random import Random
from typing import Any, Final

from holdfast_protocol.client import AgentClient
from holdfast_protocol.errors import BusClosedError, HoldfastError
from tests.chaos.history import Answer, Exchange
from tests.chaos.load.plain import PlainSender
from tests.chaos.load.recording import Recorder, answer_of, is_write

ATTEMPT: Final = 10.0
"""Seconds that a client tries on its own before it says that there is no answer yet."""
_PAUSE: Final = 0.25  # seconds before what was refused at once is asked again
_DUPLICATED: Final = 0.04  # the share of the messages that are sent twice on purpose
_CANCELLED: Final = 0.02  # and of those that somebody tries to cancel


class Asker:
    """Asks for everybody: in peace, twice, or with a cancellation on its heels."""

    def __init__(
        self,
        recorder: Recorder,
        clients: Sequence[AgentClient],
        sender: PlainSender,
        seed: int,
    ) -> None:
        self._recorder = recorder
        self._clients = clients
        self._sender = sender
        self._random = Random(seed)

    async def ask(self, exchange: Exchange, patience: float) -> Answer | None:
        """The final answer; None when there is none within the patience, in seconds."""
        client = self._random.choice(self._clients)
        asking = self.plainly(client, exchange, patience)
        chance = self._random.random()
        if not is_write(exchange.message) or chance > _DUPLICATED + _CANCELLED:
            return await asking
        if chance > _DUPLICATED:
            await asyncio.gather(asking, self._cancel(client, exchange))
        else:
            await self._twice(asking, exchange, patience)
        return exchange.answer

    async def plainly(
        self, client: AgentClient, exchange: Exchange, patience: float
    ) -> Answer | None:
        """The same, by one client and without mischief."""
        message = exchange.message
        give_up_at = time.monotonic() + patience
        while True:
            try:
                response = await client.request(
                    message["recipient"],
                    message["action"],
                    message["payload"],
                    message_id=message["id"],
                    timeout=ATTEMPT,
                )
            except BusClosedError:
                return exchange.answer  # the load is over
            except HoldfastError as error:
                self._recorder.refusals[type(error).__name__] += 1
            else:
                if self._recorder.take(exchange, answer_of(response)):
                    return exchange.answer
            if exchange.answer is not None:  # it came another way meanwhile
                return exchange.answer
            if time.monotonic() >= give_up_at:
                return None
            exchange.repeated += 1
            await asyncio.sleep(_PAUSE)

    async def _twice(
        self, asking: Coroutine[Any, Any, Answer | None], exchange: Exchange, patience: float
    ) -> None:
        """At once from somebody else, as two of one array, or when it is answered already."""
        message = exchange.message
        exchange.repeated += 1
        match self._random.randrange(4):
            case 0:
                await asyncio.gather(asking, self._sender.publish([message]))
            case 1:
                exchange.repeated += 1
                await asyncio.gather(asking, self._sender.publish([message, message]))
            case 2:
                other = self._random.choice(self._clients)
                await asyncio.gather(asking, self.plainly(other, exchange, patience))
            case _:
                await asking
                await self._sender.publish([message])

    async def _cancel(self, client: AgentClient, exchange: Exchange) -> None:
        try:
            await client.cancel(exchange.message["id"])
        except HoldfastError as error:
            self._recorder.refusals[f"cancel: {type(error).__name__}"] += 1
