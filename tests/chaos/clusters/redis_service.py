"""Two agent processes on a Redis that fails over, and load on them."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from time import monotonic

from tests.acceptance.serving import Serving, serving
from tests.chaos.clusters.recovering import seconds_to_success
from tests.chaos.load.load import Load
from tests.services import unique_name

MESSAGES = 300
"""That are answered before, and again after a failover."""
PATIENCE = 60.0


@dataclass(frozen=True)
class Service:
    """Where it is, and what it consists of."""

    bus: str
    namespace: str
    processes: Sequence[Serving]

    @asynccontextmanager
    async def loaded(self, seed: int) -> AsyncIterator[Load]:
        """Load on it that has begun. Nobody subscribes: to hear of what is lost ends that."""
        async with Load(self.bus, self.namespace, seed, follow=False) as load:
            await load.until(MESSAGES, PATIENCE)
            yield load


@asynccontextmanager
async def served(bus: str, backend: str) -> AsyncIterator[Service]:
    """Two processes."""
    namespace = unique_name()
    async with AsyncExitStack() as stack:
        processes = [
            await stack.enter_async_context(serving(bus, backend, namespace))
            for _process in range(2)
        ]
        yield Service(bus, namespace, processes)


async def recovered(load: Load) -> float:
    """How many seconds from now the first success comes; returns when all goes on."""
    decided = monotonic()
    await load.until(MESSAGES, PATIENCE)
    return await seconds_to_success(load, decided)
