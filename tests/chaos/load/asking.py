"""A message is asked until it is answered, always under its id."""

import asyncio
import time
from typing import Final

from holdfast_protocol.client import AgentClient
from holdfast_protocol.errors import BusClosedError, HoldfastError
from tests.chaos.history import Answer, Exchange
from tests.chaos.load.recording import Recorder, answer_of

ATTEMPT: Final = 10.0
"""Seconds that a client tries on its own before it says that there is no answer yet."""
_PAUSE: Final = 0.25  # seconds before what was refused at once is asked again


async def ask(
    client: AgentClient, recorder: Recorder, exchange: Exchange, patience: float
) -> Answer | None:
    """The final answer; None when there is none within the patience, in seconds."""
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
            recorder.refusals[type(error).__name__] += 1
        else:
            if recorder.take(exchange, answer_of(response)):
                return exchange.answer
        if exchange.answer is not None:  # it came another way meanwhile
            return exchange.answer
        if time.monotonic() >= give_up_at:
            return None
        exchange.repeated += 1
        await asyncio.sleep(_PAUSE)
