"""Agent processes under load, struck by faults in turn, and checked."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.acceptance.serving import Serving, serving
from tests.chaos.checks.check import check
from tests.chaos.faults.contract import Fault, Strike
from tests.chaos.forms import by_form
from tests.chaos.load.load import Load
from tests.chaos.load.rates import BUCKET, Rates
from tests.services import unique_name

SEED = 20261121
_AGENTS = 2  # processes on the same store: each meets what the other left
_ANSWERS = by_form(30, 200)  # before and after a fault: the service has to come back
_PATIENCE = 60.0  # seconds for them, on a busy machine
_TOLD = 10.0  # seconds until an agent's log has come
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

    processes: Sequence[Serving]
    load: Load
    random: Random

    async def by(self, fault: Fault) -> Strike:
        """Inject one that hits, with answers before and after it."""
        await self._answers()
        strike = await self._hit(fault)
        await self._answers()
        return strike

    async def noticed(self, fault: Fault) -> None:
        """Inject one that makes the store fail an agent: one that nobody meets shows nothing."""
        await self._answers()
        before = [len(process.log) for process in self.processes]
        strike = await self._hit(fault)
        await self._answers()
        try:
            async with asyncio.timeout(_TOLD):
                while not self._retried_since(before):
                    await self.load.until(1)
        except TimeoutError as error:
            raise AssertionError(f"no agent met it: {strike.kind}") from error

    async def silenced(self, fault: Fault, seconds: float) -> None:
        """Inject one that fails nobody, and has all wait: nothing succeeds for so long."""
        strike = await self.by(fault)
        silence = _silence(self.load.rates, strike)
        assert silence >= seconds, f"{strike.kind}: a silence of {silence:.2f} s only"

    def pids(self) -> list[int]:
        """Of all agents."""
        return [process.pid for process in self.processes]

    async def revive(self) -> None:
        """Start those again that have ended."""
        for process in self.processes:
            if await process.has_ended(_DYING):
                await process.close()
                await process.start()

    async def _answers(self) -> None:
        await self.load.until(_ANSWERS, _PATIENCE)

    async def _hit(self, fault: Fault) -> Strike:
        strike = await fault.strike(self.random)
        assert not strike.kind.startswith("miss"), strike.kind
        return strike

    def _retried_since(self, before: Sequence[int]) -> bool:
        return any(
            entry.get("event") == "trying again"
            for process, length in zip(self.processes, before, strict=True)
            for entry in process.log[length:]
        )


def _silence(rates: Rates, strike: Strike) -> float:
    """The longest time without a success in a strike, in seconds, to a bucket's length."""
    longest, moment = 0.0, strike.struck_at
    while moment < strike.healed_at:
        first = rates.first_success_after(moment)
        end = strike.healed_at if first is None else min(first, strike.healed_at)
        longest = max(longest, end - moment)
        moment += BUCKET
    return longest


@asynccontextmanager
async def struck(
    bus: str, backend: str, seed: int = SEED, *, mortal: bool = False
) -> AsyncIterator[Struck]:
    """A service under load; at the end everything is answered, and held to its promises.

    Its agents' patience with the store is short, so that they say `unavailable` too, not only
    wait.

    Args:
        mortal: whether agents may end; otherwise none of the faults is to end one.
    """
    name = unique_name()
    async with AsyncExitStack() as stack:
        agents = [
            serving(bus, backend, name, HOLDFAST_RETRY_SECONDS="0.5") for _n in range(_AGENTS)
        ]
        processes = [await stack.enter_async_context(agent) for agent in agents]
        async with Load(bus, name, seed, workers=8) as load:
            yield Struck(processes, load, Random(seed))
            history = await load.finish()
        assert check(history) == []
        assert load.refusals.keys() <= _TYPED, "what passes is told as what may pass"
        for process in processes:
            assert mortal or not await process.has_ended()


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that other users can pass through: PostgreSQL may have to run as one of them."""
    with tempfile.TemporaryDirectory(prefix="holdfast-chaos-") as name:
        Path(name).chmod(0o711)
        yield Path(name)
