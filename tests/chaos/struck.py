"""One agent process under load, struck by faults in turn, and checked."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random

from tests.acceptance.load import Load
from tests.acceptance.plain_client import PATIENCE, connected
from tests.acceptance.serving import Serving, serving
from tests.chaos.faults.contract import Fault, Strike
from tests.services import unique_name

SEED = 20261121


@dataclass(frozen=True, slots=True)
class Struck:
    """A service that is under load."""

    process: Serving
    load: Load

    async def by(self, faults: Iterable[Fault], seed: int = SEED) -> list[Strike]:
        """Inject each, with answers before and after it: the service has to come back."""
        random, strikes = Random(seed), []
        for fault in faults:
            await self.load.answered(50)
            strikes.append(await fault.strike(random))
            await self.load.answered(50)
        return strikes

    async def revive(self) -> None:
        """Start the process again if it has ended."""
        if self.process.has_ended:
            await self.process.close()
            await self.process.start()


@asynccontextmanager
async def struck(bus: str, backend: str, seed: int = SEED) -> AsyncIterator[Struck]:
    """A service under load; at the end everything is answered and checked."""
    name, load = unique_name(), Load(seed)
    async with serving(bus, backend, name) as process, connected(bus, name) as client:
        await load.prepare(client)
        loading = asyncio.create_task(load.run([client]))
        try:
            yield Struck(process, load)
            load.enough()
            async with asyncio.timeout(PATIENCE):
                await loading
        finally:
            loading.cancel()
        await load.check(client)
