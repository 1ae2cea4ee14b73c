"""An agent process under load, struck by faults in turn, and checked."""

import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.acceptance.serving import Serving, serving
from tests.chaos.checks.check import check
from tests.chaos.faults.contract import Fault, Strike
from tests.chaos.forms import by_form
from tests.chaos.load.load import Load
from tests.services import unique_name

SEED = 20261121
_ANSWERS = by_form(30, 200)  # before and after a fault: the service has to come back
_PATIENCE = 60.0  # seconds for them, on a busy machine
_DYING = 0.5  # seconds until a killed process is known to be dead
_TYPED = {
    "unavailable",
    "overloaded",
    "expired",
    "RequestTimeoutError",
    "UnavailableError",
    "NoRouteError",
}


@dataclass(frozen=True, slots=True)
class Struck:
    """A service that is under load."""

    process: Serving
    load: Load
    random: Random

    async def by(self, faults: Iterable[Fault]) -> list[Strike]:
        """Inject each, with answers before and after it."""
        strikes = []
        for fault in faults:
            await self.load.until(_ANSWERS, _PATIENCE)
            strikes.append(await fault.strike(self.random))
            await self.load.until(_ANSWERS, _PATIENCE)
        return strikes

    async def has_noticed(self) -> bool:
        """Whether it met a store that failed it: a fault that nobody meets shows nothing."""
        await self.process.said("trying again")
        return True

    async def revive(self) -> None:
        """Start the process again if it has ended."""
        if await self.process.has_ended(_DYING):
            await self.process.close()
            await self.process.start()


@asynccontextmanager
async def struck(
    bus: str, backend: str, seed: int = SEED, *, mortal: bool = False
) -> AsyncIterator[Struck]:
    """A service under load; at the end everything is answered, and held to its promises.

    Its patience with the store is short, so that it says `unavailable` too, not only waits.

    Args:
        mortal: whether its process may end; otherwise none of the faults is to end it.
    """
    name = unique_name()
    async with serving(bus, backend, name, HOLDFAST_RETRY_SECONDS="0.5") as process:
        async with Load(bus, name, seed, workers=8) as load:
            yield Struck(process, load, Random(seed))
            history = await load.finish()
        assert check(history) == []
        assert load.refusals.keys() <= _TYPED, "what passes is told as what may pass"
        assert mortal or not await process.has_ended()


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that other users can pass through: PostgreSQL may have to run as one of them."""
    with tempfile.TemporaryDirectory(prefix="holdfast-chaos-") as name:
        Path(name).chmod(0o711)
        yield Path(name)
