"""A round: load, faults, the end of the load, the checks."""

import asyncio
from collections.abc import Awaitable, Sequence
from contextlib import AsyncExitStack
from typing import Final

from tests.chaos.calm import strike_calmly
from tests.chaos.checks.check import check
from tests.chaos.checks.defects import defects
from tests.chaos.checks.promises import ANSWERED, RECOVERY
from tests.chaos.faults.contract import Strike
from tests.chaos.history import History, Violation
from tests.chaos.load.load import Load
from tests.chaos.load.reading import NotBackError
from tests.chaos.options import Options
from tests.chaos.recovery import STALL, Recovery, first_successes
from tests.chaos.report import Found, Report
from tests.chaos.scene import Scene
from tests.chaos.storm import lanes_of, rage

_BACK: Final = 60.0  # seconds within which each backend answers again after the last strike


class Round:
    """One round on all backends at once.

    Args:
        number: 1 for the first; 0 for the calm one.
    """

    def __init__(self, scene: Scene, options: Options, report: Report, number: int) -> None:
        self._scene = scene
        self._options = options
        self._report = report
        self._number = number
        self._seed = options.seed_of(number)
        self._strikes: list[Strike] = []
        self.loads: dict[str, Load] = {}

    async def run(self) -> None:
        """From the first question to the last check."""
        async with AsyncExitStack() as stack:
            await asyncio.gather(*(self._open(stack, name) for name in self._options.backends))
            await (self._calm() if self._number == 0 else self._storm())
            with self._report.spending("finishing"):
                histories = await asyncio.gather(*map(self._finished, self.loads))
        with self._report.spending("checks"):
            for backend, history in zip(self.loads, histories, strict=True):
                await self._judge(backend, history)
        for backend, load in self.loads.items():
            self._report.operations[backend] += load.operations
            self._report.messages[backend] += load.answered
            self._report.refusals.update(load.refusals)
            self._found(backend, list(defects(load.refusals)))
        self.loads.clear()

    async def _open(self, stack: AsyncExitStack, backend: str) -> None:
        load = Load(
            self._scene.broker.url,
            self._scene.namespace(backend),
            self._seed,
            workers=self._options.workers,
        )
        await stack.enter_async_context(load)
        self.loads[backend] = load

    # -- faults --------------------------------------------------------------------------------

    async def _storm(self) -> None:
        wanted = self._options.share(self._options.operations, self._number)
        lanes = lanes_of(self._scene, self._options, self._number)
        with self._report.spending("storm"):
            await rage(lanes, self._seed, self._struck)
        with self._report.spending("load after it"):
            await self._until_answered(wanted)
            await self._all_answer_again()
        self._measure_first_successes()

    async def _calm(self) -> None:
        with self._report.spending("calm"):
            seen = await strike_calmly(self._scene, self._options, self.loads, self._struck)
        self._report.calm += seen
        self._measure_first_successes()
        bound = self._options.full_again
        for calm in seen:
            if calm.seconds is None or calm.seconds > bound:
                text = f"{calm.kind}: not 90 % of {calm.usual:.0f}/s within {bound:g} s"
                self._found(calm.backend, [Violation(RECOVERY, text)])

    def stalled(self, since: float, until: float) -> None:
        """Nothing ran meanwhile: nobody can have answered."""
        self._struck(Strike(STALL, since, until))

    def _struck(self, strike: Strike) -> None:
        self._strikes.append(strike)
        self._report.struck(strike)

    async def _until_answered(self, wanted: int) -> None:
        """The operations that the storm left to do."""
        await asyncio.gather(*(self._reach(name, wanted) for name in self.loads))

    async def _reach(self, backend: str, wanted: int) -> None:
        load = self.loads[backend]
        try:
            await load.until_operations(wanted - load.operations, self._options.longest)
        except TimeoutError:
            text = (
                f"{load.operations:,} of {wanted:,} operations, and no more in "
                f"{self._options.longest:.0f} s without faults"
            )
            self._found(backend, [Violation(RECOVERY, text)])

    async def _all_answer_again(self) -> None:
        """So that the recovery from the last strikes can be measured."""
        await asyncio.gather(
            *(self._tolerant(load.until(20, _BACK)) for load in self.loads.values())
        )

    async def _tolerant(self, waiting: Awaitable[None]) -> None:
        try:
            await waiting
        except TimeoutError:
            return  # the measurement tells that nothing was answered

    def _measure_first_successes(self) -> None:
        for backend, load in self.loads.items():
            recoveries, never = first_successes(
                self._strikes, backend, load.rates, agents=self._options.agents
            )
            self._report.recoveries += recoveries
            self._found(backend, [_no_success_after(strike) for strike in never])
            self._found(backend, _late(recoveries, self._options.first_success))

    # -- judgement -----------------------------------------------------------------------------

    async def _finished(self, backend: str) -> History | str:
        """What happened, or why that cannot be known."""
        try:
            return await self.loads[backend].finish()
        except (NotBackError, TimeoutError) as error:
            return f"it cannot be read any more: {error!r}"

    async def _judge(self, backend: str, history: History | str) -> None:
        if isinstance(history, str):
            self._found(backend, [Violation(ANSWERED, history)])
            return
        self._report.repeated[backend] += sum(e.repeated for e in history.exchanges)
        self._report.dead_letters[backend] += len(history.dead_letters)
        self._found(backend, await asyncio.to_thread(check, history))

    def _found(self, backend: str, violations: Sequence[Violation]) -> None:
        for violation in violations:
            self._report.found.append(Found(self._number, self._seed, backend, violation))


def _no_success_after(strike: Strike) -> Violation:
    return Violation(RECOVERY, f"nothing succeeded any more after {strike.kind}")


def _late(recoveries: Sequence[Recovery], bound: float) -> list[Violation]:
    return [
        Violation(RECOVERY, f"{r.kind}: first success {r.seconds:.1f} s after it was back")
        for r in recoveries
        if r.seconds > bound
    ]
