"""A whole run: the scene, the rounds, the memory, the report."""

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Final

from tests.chaos.checks.promises import RECOVERY, STANDS
from tests.chaos.history import Violation
from tests.chaos.load.reading import NotBackError
from tests.chaos.load.tasks import end
from tests.chaos.memory import Memory
from tests.chaos.options import Options
from tests.chaos.report import Found, Report
from tests.chaos.rounds import Round
from tests.chaos.scene import Scene

_BEAT: Final = 0.25  # seconds between two looks
_STALL: Final = 1.0  # seconds that a look is late when the machine, or this process, stood still


class Run:
    """One run of the suite.

    Args:
        command: what it was started by, for who wants it once more.
        tell: given the progress, a line at a time.
    """

    def __init__(self, options: Options, command: str, tell: Callable[[str], None]) -> None:
        self._options = options
        self._tell = tell
        self._memory = Memory(options.long_life, options.warm)
        self._round: Round | None = None
        self.report = Report(command, options.seed, str(options.folder), options.rounds)

    async def run(self) -> Report:
        """Everything; the report says what was found."""
        async with AsyncExitStack() as stack:
            with self.report.spending("start"):
                scene = await stack.enter_async_context(Scene(self._options, self._died))
            await stack.enter_async_context(self._observed(scene))
            stack.enter_context(_only_young_garbage())
            await self._all_rounds(scene)
        self.report.lives = self._memory.lives()
        for violation in self._memory.violations():
            self.report.found.append(Found(None, self._options.seed, "agents", violation))
        return self.report

    async def _all_rounds(self, scene: Scene) -> None:
        for number in self._numbers():
            self.report.round = number
            self._round = Round(scene, self._options, self.report, number)
            try:
                await self._round.run()
            except (NotBackError, TimeoutError) as error:
                self._tell_of("all", Violation(RECOVERY, f"a load cannot begin: {error!r}"))
            if self.report.found and self._options.stop_at_first:
                return
            gc.collect()

    def _numbers(self) -> list[int]:
        if self._options.only_round is not None:
            return [self._options.only_round]
        calm = [0] if self._options.calm else []
        return [*calm, *range(1, self._options.rounds + 1)]

    def _died(self, text: str) -> None:
        self._tell_of("agents", Violation(STANDS, text))

    def _tell_of(self, backend: str, violation: Violation) -> None:
        number = self.report.round
        found = Found(number, self._options.seed_of(number), backend, violation)
        self.report.found.append(found)

    @asynccontextmanager
    async def _observed(self, scene: Scene) -> AsyncIterator[None]:
        observing = asyncio.create_task(self._observe(scene))
        try:
            yield
        finally:
            await end([observing])

    async def _observe(self, scene: Scene) -> None:
        before = time.monotonic()
        while True:
            now = time.monotonic()
            if self._round is not None and now - before > _BEAT + _STALL:
                self._round.stalled(before, now)
            before = now
            self._memory.look(scene.all_agents)
            loads = {} if self._round is None else self._round.loads
            answered = {name: load.operations for name, load in loads.items()}
            counts = {name: answered.get(name, 0) for name in self._options.backends}
            self._tell(self.report.line(counts))
            await asyncio.sleep(_BEAT)


@contextmanager
def _only_young_garbage() -> Iterator[None]:
    """What a round has recorded is millions of objects: to look through them would stop the load
    for seconds, again and again."""
    young, middle, old = gc.get_threshold()
    gc.set_threshold(young, middle, 1_000_000)
    try:
        yield
    finally:
        gc.set_threshold(young, middle, old)
