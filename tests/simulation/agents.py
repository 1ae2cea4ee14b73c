"""Agent processes of an episode, and who starts them again when they end."""

import asyncio
from collections.abc import Mapping
from typing import Final

from holdfast_agents.base.runner_limits import RunnerLimits
from holdfast_agents.logs import Logger
from holdfast_agents.wiring import Service, ServiceOptions, service_on
from holdfast_backends import StorageError
from holdfast_backends.backend import StoreBackend
from holdfast_protocol.errors import HoldfastError
from tests.simulation.broker import SimulatedBroker
from tests.simulation.bus import SimulatedBus
from tests.simulation.database import Database
from tests.simulation.processes import Process
from tests.simulation.store import SimulatedStore
from tests.simulation.world import World

_LONGEST_RESTART: Final = 3.0


class AgentProcess:
    """One agent process, over all of its lives.

    Attributes:
        failures: what its lives ended in that no agent may end in.
    """

    def __init__(
        self,
        world: World,
        broker: SimulatedBroker,
        database: Database,
        name: str,
        limits: Mapping[str, int],
        log: Logger,
    ) -> None:
        self._world = world
        self._broker = broker
        self._database = database
        self._name = name
        self._lives = 0
        self._options = ServiceOptions(
            limits=RunnerLimits(**limits), sweep_seconds=20.0, log=log, agents=("storage",)
        )
        self._service: Service | None = None
        self._process: Process | None = None
        self._ending = False
        self._task: asyncio.Task[None] | None = None
        self.failures: list[str] = []

    def start(self) -> None:
        """Begin the next life."""
        if self._ending:
            return
        self._lives += 1
        process = self._world.begin(f"{self._name}.{self._lives}")
        if process.wall_offset:
            self._world.trust_no_clock()
        self._process, self._service = process, None
        process.on_death.append(self._start_again)
        self._task = self._world.loop.create_task(self._live(process), context=process.context)

    async def stop(self) -> None:
        """SIGTERM: what was taken is finished. For the end of an episode, when it is calm."""
        self._ending = True
        if self._process is None or not self._process.alive:
            return
        if self._service is not None and self._process is not None:
            stop = self._world.loop.create_task(self._service.stop(), context=self._process.context)
            await stop
        if self._task is not None:
            await self._task

    @property
    def ready(self) -> bool:
        """Whether it serves."""
        return self._service is not None and self._service.ready

    @property
    def unsettled(self) -> int:
        """How many deliveries it has in hand."""
        return 0 if self._service is None else self._service.unsettled

    def _start_again(self) -> None:
        self._service = None
        self._world.later(_LONGEST_RESTART * self._world.latency() * 20, self.start)

    async def _live(self, process: Process) -> None:
        try:
            await self._serve(process)
        except (StorageError, HoldfastError) as error:
            self._world.tell(f"{process.name} ends: {error}")
            if self._service is not None:
                self.failures.append(f"{process.name} ended: {error!r}")
        except Exception as error:  # noqa: BLE001 - an agent must not end so
            self.failures.append(f"{process.name} ended: {error!r}")
        if not self._ending:
            self._world.later(0.0, self._world.kill, process)

    async def _serve(self, process: Process) -> None:
        bus = SimulatedBus(self._broker, process)
        backend = StoreBackend(SimulatedStore(self._database, process))
        async with backend, bus, service_on(bus, backend, self._options) as service:
            self._service = service
            await service.run()
