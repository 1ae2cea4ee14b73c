"""SIGSTOP for a while, then SIGCONT: a process that is late for everything."""

import asyncio
import time
from collections.abc import Sequence
from random import Random
from typing import Final

from tests.chaos.agents import Agent
from tests.chaos.faults.contract import Strike
from tests.chaos.faults.kills import MISSED_AGENT
from tests.chaos.servers import Server

_SHORT: Final = (0.2, 1.5)  # seconds
_LONG: Final = (5.2, 8.0)  # seconds: longer than the lease of who publishes
_LONG_ONES: Final = 0.15  # of all stops


class StopAgent:
    """One of these processes stands still, now and then for longer than its lease."""

    kind = "stop agent"

    def __init__(self, agents: Sequence[Agent]) -> None:
        self._agents = agents

    async def strike(self, random: Random) -> Strike:
        """See `Fault`."""
        agent = random.choice(self._agents)
        seconds = random.uniform(*(_LONG if random.random() < _LONG_ONES else _SHORT))
        async with agent.turn:
            struck_at = time.monotonic()
            if agent.pid is None:
                return Strike(MISSED_AGENT, struck_at, struck_at, agent.backend)
            try:
                agent.suspend()
                await asyncio.sleep(seconds)
            finally:
                agent.resume()
        return Strike(self.kind, struck_at, time.monotonic(), agent.backend)


class StopServer:
    """A server stands still."""

    def __init__(self, server: Server) -> None:
        self._server = server

    @property
    def kind(self) -> str:
        """`stop rabbitmq`, `stop postgres`, `stop redis`."""
        return f"stop {self._server.name}"

    async def strike(self, random: Random) -> Strike:
        """See `Fault`."""
        seconds = random.uniform(*_SHORT)
        async with self._server.turn:
            struck_at = time.monotonic()
            try:
                self._server.suspend()
                await asyncio.sleep(seconds)
            finally:
                self._server.resume()
        return Strike(self.kind, struck_at, time.monotonic(), self._server.name)
