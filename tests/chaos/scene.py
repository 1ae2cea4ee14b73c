"""The servers and the agent processes of a run, from begin to end."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.acceptance.serving import run_holdfast
from tests.chaos.agents import Agent, AgentDiedError
from tests.chaos.load.tasks import end
from tests.chaos.options import Options
from tests.chaos.servers import Postgres, RabbitMQ, Redis, Server

_SETTINGS: Final = {
    # What a round left behind goes while later rounds run: sweeping is under fire, too.
    "HOLDFAST_EVENT_RETENTION_HOURS": "0.3",
    "HOLDFAST_RETENTION_DAYS": "0.02",
    "HOLDFAST_SWEEP_SECONDS": "10",
    "HOLDFAST_CONNECT_SECONDS": "90",
}
_BEAT: Final = 0.5  # seconds between two looks at the processes


class Scene:
    """Everything that is struck. An async context manager; entered, all of it runs.

    Args:
        options: which backends, how many processes.
        on_death: told of a process that ended by itself; it is started again, and given up if it
            does not start.
    """

    def __init__(self, options: Options, on_death: Callable[[str], None]) -> None:
        self._options = options
        self._on_death = on_death
        self._stack = AsyncExitStack()
        self.broker = RabbitMQ(options.folder)
        self.postgres = Postgres(options.folder)
        self.redis = Redis(options.folder)
        self.agents: dict[str, list[Agent]] = {}
        self._given_up: set[str] = set()

    @property
    def servers(self) -> list[Server]:
        """Those that this run needs."""
        databases: dict[str, Server] = {"postgres": self.postgres, "redis": self.redis}
        needed = [databases[name] for name in self._options.backends if name in databases]
        return [self.broker, *needed]

    @property
    def all_agents(self) -> list[Agent]:
        """Of all backends."""
        return [agent for several in self.agents.values() for agent in several]

    def namespace(self, backend: str) -> str:
        """The prefix of a backend's objects at the broker."""
        return f"chaos-{backend}"

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    # -- starting ------------------------------------------------------------------------------

    async def _start(self) -> None:
        self._options.folder.mkdir(parents=True, exist_ok=True)
        async with asyncio.TaskGroup() as group:
            for server in self.servers:
                self._stack.push_async_callback(server.remove)
                group.create_task(server.start())
        for backend in self._options.backends:
            url = await self._prepared(backend)
            self.agents[backend] = [
                self._agent(backend, url, number) for number in range(self._options.agents)
            ]
        async with asyncio.TaskGroup() as group:
            for agent in self.all_agents:
                self._stack.push_async_callback(agent.kill)
                group.create_task(agent.start())
        watching = asyncio.create_task(self._watch())
        self._stack.push_async_callback(end, [watching])

    async def _prepared(self, backend: str) -> str:
        """The URL of a store that is ready for agents."""
        if backend == "redis":
            return f"{self.redis.url}?namespace=chaos"
        if backend == "postgres":
            await self.postgres.create_database()
            url = self.postgres.database_url
        else:
            url = f"sqlite:///{self._options.folder / 'store.db'}"
        await run_holdfast("migrate", "--backend", url)
        return url

    def _agent(self, backend: str, url: str, number: int) -> Agent:
        arguments = ["--bus", self.broker.url, "--backend", url]
        arguments += ["--namespace", self.namespace(backend)]
        arguments += ["--log-level", "warning", "--log-format", "json"]
        log = self._log(f"agent-{backend}-{number}.log")
        return Agent(backend, number, arguments, _SETTINGS, log, self._options.mutant)

    def _log(self, name: str) -> Path:
        return self._options.folder / name

    # -- while it runs -------------------------------------------------------------------------

    async def _watch(self) -> None:
        """Nobody ends by himself, and no log grows without end."""
        while True:
            for agent in self.all_agents:
                if agent.turn.locked() or agent.name in self._given_up:
                    continue
                if (death := agent.death()) is not None:
                    self._on_death(death)
                    await self._revive(agent)
                agent.bound_log()
            await asyncio.sleep(_BEAT)

    async def _revive(self, agent: Agent) -> None:
        async with agent.turn:
            try:
                await agent.start()
            except AgentDiedError as error:
                self._given_up.add(agent.name)
                self._on_death(f"it is not started again: {error}")
