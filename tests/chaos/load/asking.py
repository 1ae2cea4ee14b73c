"""A message is asked until it is answered, always under its id; some are sent twice on purpose."""

import asyncio
import time
from collections.abc import Sequence
from random import Random
from typing import Final

from holdfast_protocol.client import AgentClient
from holdfast_protocol.errors import BusClosedError, HoldfastError
from tests.chaos.history import Answer, Exchange
from tests.chaos.load.mischief import Mischief
from tests.chaos.load.plain import PlainSender
from tests.chaos.load.recording import Recorder, answer_of, is_write

ATTEMPT: Final = 10.0
"""Seconds that a client tries on its own before it says that there is no answer yet."""
_PAUSE: Final = 0.25  # seconds before what was refused at once is asked again
_MISCHIEF: Final = 0.07  # the share of the writes that do not come in peace


class Asker:
    """Asks for everybody.

    Args:
        patience: seconds after which a message is left to the end.
    """

    def __init__(
        self,
        recorder: Recorder,
        clients: Sequence[AgentClient],
        sender: PlainSender,
        seed: int,
        patience: float,
    ) -> None:
        self._recorder = recorder
        self._clients = clients
        self._patience = patience
        self._random = Random(seed)
        self._mischief = Mischief(recorder, clients, sender, self.plainly, self._random)

    async def ask(self, exchange: Exchange) -> Answer | None:
        """The final answer; None when there is none for now."""
        client = self._random.choice(self._clients)
        if is_write(exchange.message) and self._random.random() < _MISCHIEF:
            await self._mischief.do(client, exchange)
            return exchange.answer
        return await self.plainly(client, exchange)

    async def plainly(self, client: AgentClient, exchange: Exchange) -> Answer | None:
        """The same, by one client and in peace."""
        message = exchange.message
        give_up_at = time.monotonic() + self._patience
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
