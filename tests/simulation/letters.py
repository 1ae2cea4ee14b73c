"""The dead letters of the simulated broker."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from holdfast_protocol.bus.deadletters import attempts_before, resent_headers
from holdfast_protocol.bus.memory_letters import MemoryWalk
from holdfast_protocol.bus.messages import DeadLetter, Delivery
from holdfast_protocol.errors import NoRouteError
from tests.simulation.broker import SimulatedBroker
from tests.simulation.wire import Wire


class Letters:
    """One process's access to them."""

    def __init__(self, broker: SimulatedBroker, wire: Wire, namespace: str) -> None:
        self._broker = broker
        self._wire = wire
        self._namespace = namespace

    async def bury(self, delivery: Delivery, *, reason: str, error: str, agent: str) -> None:
        """As `Bus.dead_letter`."""
        await self._wire.call(
            "dead-letter",
            lambda: self._broker.core.bury(
                self._namespace, delivery, reason=reason, error=error, agent=agent
            ),
        )

    @asynccontextmanager
    async def walk(self) -> AsyncIterator[MemoryWalk]:
        """As `Bus.dead_letters`."""
        letters = self._broker.core.letters()
        walk = await self._wire.call("open", lambda: MemoryWalk(letters, self._namespace))
        try:
            yield walk
        finally:
            walk.close()

    async def resend(self, letter: DeadLetter) -> None:
        """As `Bus.resend`."""
        core = self._broker.core
        headers = resent_headers(letter)

        def effect() -> None:
            queue = core.route(self._namespace, letter.routing_key)
            if queue is None:
                raise NoRouteError(f"No agent is bound for {letter.routing_key!r}")
            delivery = Delivery(
                letter.body,
                letter.routing_key,
                core.next_tag(),
                letter.reply_to,
                letter.correlation_id,
                letter.id,
                headers=headers,
                attempts=attempts_before(headers) + 1,
            )
            queue.offer((delivery, None))

        await self._wire.call("dead-letter", effect)
