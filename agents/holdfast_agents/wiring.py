"""The only place that builds things: buses, backends, agents and their runners.

Everything is entered on one `AsyncExitStack`, so whatever was opened is closed, in reverse.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from holdfast_backends import Backend, StorageError
from holdfast_backends.opening import BackendOptions, open_backend
from holdfast_protocol.bus.contract import Bus
from holdfast_protocol.bus.opening import open_bus
from holdfast_protocol.ids import uuid7
from holdfast_protocol.limits import MAX_RESPONSE_BYTES

from .base.agent import Agent
from .base.runner import Runner, RunnerLimits
from .dead_letters import dead_letter_actions
from .events.relay import Relay
from .journal import Journal, StreamJournal
from .logs import Logger, quiet_logger
from .storage.agent import StorageAgent

AgentFactory: TypeAlias = "Callable[[Backend, ServiceOptions], Agent[Any]]"


@dataclass(frozen=True, slots=True)
class ServiceOptions:
    """How a service is to be run; see the settings for what each means to an operator.

    Args:
        extra_agents: agents of the caller's own, run beside the named ones.
        publish_events: whether this process relays change events to the bus (when it leads).
        journal: where exchanges are recorded; the service opens and closes it.
        journal_on_bus: record them in the journal of the bus.
    """

    namespace: str = "holdfast"
    agents: Sequence[str] = ("storage",)
    extra_agents: Sequence[Agent[Any]] = ()
    backend_options: BackendOptions = field(default_factory=BackendOptions)
    limits: RunnerLimits = field(default_factory=RunnerLimits)
    response_limit: int = MAX_RESPONSE_BYTES
    sweep_seconds: float = 60.0
    publish_events: bool = True
    journal: Journal | None = None
    journal_on_bus: bool = False
    log: Logger = field(default_factory=quiet_logger)


def _storage(backend: Backend, options: ServiceOptions) -> Agent[Any]:
    return StorageAgent(backend, response_limit=options.response_limit, log=options.log)


AGENTS: Final[Mapping[str, AgentFactory]] = MappingProxyType({"storage": _storage})
"""The agents that a service can run, by name."""


class Service:
    """Agents on a bus over a backend, opened and ready; made by `open_service`."""

    def __init__(
        self, bus: Bus, backend: Backend, runners: Sequence[Runner], options: ServiceOptions
    ) -> None:
        self.bus = bus
        self.backend = backend
        self._runners = runners
        self._options = options
        publishes = options.publish_events and options.backend_options.keep_events
        self._relay = Relay(backend, bus, options.log) if publishes else None

    @property
    def ready(self) -> bool:
        """Whether messages can arrive at all agents now."""
        return all(runner.ready for runner in self._runners)

    @property
    def unsettled(self) -> int:
        """How many deliveries were taken and are not settled yet."""
        return sum(runner.unsettled for runner in self._runners)

    async def run(self) -> None:
        """Serve until `stop`; returns when everything taken is answered and settled."""
        sweeper = asyncio.create_task(self._sweep())
        try:
            async with asyncio.TaskGroup() as group:
                relay = None if self._relay is None else group.create_task(self._relay.run())
                runners = [group.create_task(runner.run()) for runner in self._runners]
                await asyncio.wait(runners)
                # What they committed last is published before the process ends.
                if self._relay is not None and relay is not None:
                    self._relay.stop()
        finally:
            sweeper.cancel()
            await asyncio.gather(sweeper, return_exceptions=True)

    async def stop(self) -> None:
        """Take nothing more; `run` then finishes what was taken."""
        for runner in self._runners:
            await runner.stop()

    async def _sweep(self) -> None:
        """Remove what has expired, now and then; more often while there is much of it."""
        while True:
            await asyncio.sleep(self._options.sweep_seconds)
            try:
                removed = await self.backend.sweep()
                while removed:
                    removed = await self.backend.sweep()
            except StorageError as error:
                self._options.log.warning("sweep failed", error=error.message)
            except Exception as error:
                self._options.log.error("sweep failed", exc_info=error)


@asynccontextmanager
async def open_service(
    *,
    bus: str = "memory://",
    backend: str = "memory://",
    options: ServiceOptions | None = None,
) -> AsyncIterator[Service]:
    """A service whose queues are declared; `run` it to answer messages.

    Args:
        bus: `memory://name` or `amqp://…`; plain `memory://` is a bus of the service's own.
        backend: the URL of a backend.

    Raises:
        ValueError: the bus URL or an agent's name is wrong.
        StorageError: the backend cannot be opened.
        UnavailableError: the broker cannot be reached.
    """
    chosen = options if options is not None else ServiceOptions()
    _check_agents(chosen)
    bus_url = f"memory://{uuid7()}" if bus == "memory://" else bus
    async with AsyncExitStack() as stack:
        store = open_backend(backend, chosen.backend_options)
        opened = await stack.enter_async_context(store)
        broker = await stack.enter_async_context(open_bus(bus_url, namespace=chosen.namespace))
        yield await stack.enter_async_context(service_on(broker, opened, chosen))


@asynccontextmanager
async def service_on(bus: Bus, backend: Backend, options: ServiceOptions) -> AsyncIterator[Service]:
    """A service on a bus and a backend that are open already; the caller closes them.

    Raises:
        ValueError: an agent's name is wrong.
        UnavailableError: the broker cannot be reached.
    """
    _check_agents(options)
    async with AsyncExitStack() as stack:
        journal = StreamJournal(bus, options.log) if options.journal_on_bus else options.journal
        if journal is not None:
            await stack.enter_async_context(journal)
        made = [AGENTS[name](backend, options) for name in options.agents]
        agents = [*made, *options.extra_agents]
        letters = dead_letter_actions(bus, response_limit=options.response_limit)
        for agent in agents:
            agent.extend(letters)
        runners = [
            Runner(agent, bus, limits=options.limits, log=options.log, journal=journal)
            for agent in agents
        ]
        for runner in runners:
            await runner.start()
        yield Service(bus, backend, runners, options)


def _check_agents(options: ServiceOptions) -> None:
    unknown = [name for name in options.agents if name not in AGENTS]
    if unknown:
        known = ", ".join(sorted(AGENTS))
        raise ValueError(f"unknown agent {unknown[0]}; there are: {known}")


@asynccontextmanager
async def open_agents(
    backend: str, options: ServiceOptions | None = None
) -> AsyncIterator[Mapping[str, Agent[Any]]]:
    """Every agent there is, by name, over one backend and without a bus.

    Raises:
        ValueError: the bus URL is wrong.
        StorageError: the backend cannot be opened.
    """
    chosen = options if options is not None else ServiceOptions()
    async with open_backend(backend, chosen.backend_options) as opened:
        yield {name: make(opened, chosen) for name, make in AGENTS.items()}
