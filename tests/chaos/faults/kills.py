"""SIGKILL: of agents, of servers, of one process of a database."""

import asyncio
import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from random import Random
from typing import Final

from tests.chaos.agents import Agent, AgentDiedError
from tests.chaos.faults.contract import Strike
from tests.chaos.processes import gone
from tests.chaos.servers import Postgres, Server

MISSED_AGENT: Final = "miss agent"
"""What a strike is called that hit nobody; it is not counted among those that did."""
_MISSED_CHILD: Final = "miss postgres child"
_CONNECTED: Final = 5.0  # seconds until the agents have connected again
_POLL: Final = 0.05


class KillAgent:
    """One of these processes dies at any moment and is started again at once."""

    kind = "kill agent"

    def __init__(self, agents: Sequence[Agent]) -> None:
        self._agents = agents

    async def strike(self, random: Random) -> Strike:
        """See `Fault`."""
        agent = random.choice(self._agents)
        async with agent.turn:
            struck_at = time.monotonic()
            if agent.pid is None:  # it ended by itself, which whoever watches it has to see
                return Strike(MISSED_AGENT, struck_at, struck_at, agent.backend)
            try:
                await agent.kill()
            finally:
                healed_at = await _started(agent)
        return Strike(self.kind, struck_at, healed_at, agent.backend)


async def _started(agent: Agent) -> float:
    try:
        return await agent.start()
    except AgentDiedError:
        return time.monotonic()  # whoever watches the processes tells of it


class KillServer:
    """A server dies and is started again at once, or a moment later."""

    def __init__(self, server: Server) -> None:
        self._server = server

    @property
    def kind(self) -> str:
        """`kill rabbitmq`, `kill postgres`, `kill redis`."""
        return f"kill {self._server.name}"

    async def strike(self, random: Random) -> Strike:
        """See `Fault`."""
        away = random.choice([0.0, 0.0, random.uniform(0, 1)])
        async with self._server.turn:
            struck_at = time.monotonic()
            try:
                await self._server.kill()
                await asyncio.sleep(away)
            finally:
                healed_at = await self._server.start()
        return Strike(self.kind, struck_at, healed_at, self._server.name)


class KillConnection:
    """One of PostgreSQL's processes dies at its work: the database restarts all of them."""

    kind = "kill postgres child"

    def __init__(self, server: Postgres) -> None:
        self._server = server

    async def strike(self, random: Random) -> Strike:
        """See `Fault`."""
        async with self._server.turn:
            backends = await self._backends()
            struck_at = time.monotonic()
            is_hit = bool(backends) and _killed(random.choice(backends))
            if is_hit:
                await gone(backends)
            healed_at = await self._server.until_it_answers()
        kind = self.kind if is_hit else _MISSED_CHILD
        return Strike(kind, struck_at, healed_at, self._server.name)

    async def _backends(self) -> list[int]:
        """Those there are; just after another strike nobody has connected yet."""
        give_up_at = time.monotonic() + _CONNECTED
        while True:
            found = self._server.backends()
            if found or time.monotonic() > give_up_at:
                return found
            await asyncio.sleep(_POLL)


def _killed(pid: int) -> bool:
    """Whether it was still there."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
        return True
    return False
