"""Messages that come again, in every way that the wire contract speaks of."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Final

from holdfast_protocol.client import AgentClient
from holdfast_protocol.errors import HoldfastError
from tests.chaos.history import Answer, Exchange
from tests.chaos.load.plain import PlainSender
from tests.chaos.load.recording import Recorder

Ask = Callable[[AgentClient, Exchange], Awaitable[Answer | None]]
"""Asks until there is an answer, or no patience."""
_DEADLINE: Final = 1.0  # seconds


class Mischief:
    """Sends a message twice, or under a deadline, or cancels it, or takes its id for another.

    Args:
        ask: asks a message as everybody does.
    """

    def __init__(
        self,
        recorder: Recorder,
        clients: Sequence[AgentClient],
        sender: PlainSender,
        ask: Ask,
        random: Random,
    ) -> None:
        self._recorder = recorder
        self._clients = clients
        self._sender = sender
        self._ask = ask
        self._random = random
        self._ways = (
            self._beside,
            self._array,
            self._other_client,
            self._afterwards,
            self._deadline,
            self._other_payload,
            self._cancel,
        )

    async def do(self, client: AgentClient, exchange: Exchange) -> None:
        """One of all ways by chance; returns when it is answered, or nobody waits any more."""
        await self._random.choice(self._ways)(client, exchange)

    async def _beside(self, client: AgentClient, exchange: Exchange) -> None:
        """At the same moment by somebody else."""
        exchange.repeated += 1
        await asyncio.gather(self._ask(client, exchange), self._sender.publish([exchange.message]))

    async def _array(self, client: AgentClient, exchange: Exchange) -> None:
        """At the same moment, and twice in one array."""
        exchange.repeated += 2
        await asyncio.gather(
            self._ask(client, exchange),
            self._sender.publish([exchange.message, exchange.message]),
        )

    async def _other_client(self, client: AgentClient, exchange: Exchange) -> None:
        """At the same moment through another connection."""
        exchange.repeated += 1
        other = self._random.choice(self._clients)
        await asyncio.gather(self._ask(client, exchange), self._ask(other, exchange))

    async def _afterwards(self, client: AgentClient, exchange: Exchange) -> None:
        """When it is answered already."""
        exchange.repeated += 1
        await self._ask(client, exchange)
        await self._sender.publish([exchange.message])

    async def _deadline(self, client: AgentClient, exchange: Exchange) -> None:
        """Once more when its deadline has passed: what was answered before stays so."""
        until = datetime.now(UTC) + timedelta(seconds=_DEADLINE)
        message = {**exchange.message, "deadline": until.isoformat()}
        await self._sender.publish([message])
        await asyncio.sleep(_DEADLINE)
        if exchange.answer is None:  # too late: then without a deadline
            await self._ask(client, exchange)
            return
        exchange.repeated += 1
        self._recorder.never_expired(exchange)
        await self._sender.publish([message])

    async def _other_payload(self, client: AgentClient, exchange: Exchange) -> None:
        """Another message under the same id: refused, whatever it says."""
        message, answer = exchange.message, await self._ask(client, exchange)
        if message["action"] != "storage_update" or answer is None or answer["status"] == "error":
            return
        payload = {**message["payload"], "changes": {"title": "of another message"}}
        await self._sender.publish_other({**message, "payload": payload}, exchange)

    async def _cancel(self, client: AgentClient, exchange: Exchange) -> None:
        """Before it comes or while it is under way; and then it comes once more."""
        if self._random.random() < 0.5:
            await self._say_cancel(client, exchange)
            await self._ask(client, exchange)
        else:
            await asyncio.gather(self._ask(client, exchange), self._say_cancel(client, exchange))
        exchange.repeated += 1
        await self._sender.publish([exchange.message])

    async def _say_cancel(self, client: AgentClient, exchange: Exchange) -> None:
        exchange.cancel_asked = True
        try:
            await client.cancel(exchange.message["id"])
        except HoldfastError as error:
            self._recorder.refusals[f"cancel: {type(error).__name__}"] += 1
