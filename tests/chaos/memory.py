"""The memory of processes, looked at now and then, and what became of it."""

import itertools
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from tests.chaos.agents import Agent
from tests.chaos.checks.promises import MEMORY
from tests.chaos.history import Violation
from tests.chaos.processes import resident_bytes

MEBI: Final = 1024 * 1024
_TENTHS: Final = 10
_GROWTH: Final = 0.2
_ALLOWED: Final = 16 * MEBI  # growth that is nothing, whatever part it is
_OLD: Final = 900.0  # seconds after which every cache is full
_ALLOWED_OLD: Final = 6 * MEBI  # in the last third of such a life


@dataclass(frozen=True, slots=True)
class Life:
    """The memory of a process that lived long.

    Args:
        seconds: how long it was looked at.
        tenths: bytes, the median of each tenth of that time.
        most: bytes, the most that was seen.
    """

    agent: str
    seconds: float
    tenths: tuple[int, ...]
    most: int

    @property
    def begin(self) -> int:
        """Bytes, in the first tenth."""
        return self.tenths[0]

    @property
    def end(self) -> int:
        """Bytes, in the last tenth."""
        return self.tenths[-1]

    @property
    def grows(self) -> bool:
        """More than a fifth, and more than is worth a word; or still when it is old."""
        grown = self.end - self.begin
        if self.seconds >= _OLD and self.end - self.tenths[_TENTHS * 2 // 3] > _ALLOWED_OLD:
            return True
        return grown > _ALLOWED and grown > _GROWTH * self.begin


class Memory:
    """Samples of all agent processes.

    Args:
        long_life: seconds; what is younger tells nothing.
        warm: seconds: a process that has just begun fills its caches, and has waited perhaps for
            servers that were away.
        now: the clock, in seconds.
    """

    def __init__(
        self,
        long_life: float = 240.0,
        warm: float = 60.0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._long_life = long_life
        self._warm = warm
        self._now = now
        self._samples: dict[tuple[str, int], list[tuple[float, int]]] = {}

    def look(self, agents: Iterable[Agent]) -> None:
        """Take one sample of each."""
        now = self._now()
        for agent in agents:
            if (pid := agent.pid) is not None and (used := resident_bytes(pid)) is not None:
                self._samples.setdefault((agent.name, pid), []).append((now, used))

    def lives(self) -> list[Life]:
        """Those processes that lived long enough to tell something."""
        found = [self._life(name, samples) for (name, _pid), samples in self._samples.items()]
        return [life for life in found if life is not None]

    def violations(self) -> list[Violation]:
        """Those that grew."""
        return [
            Violation(
                MEMORY,
                f"agent {life.agent} grew from {life.begin / MEBI:.1f} to {life.end / MEBI:.1f} "
                f"MiB in {life.seconds:.0f} s",
            )
            for life in self.lives()
            if life.grows
        ]

    def _life(self, name: str, samples: list[tuple[float, int]]) -> Life | None:
        born, last = samples[0][0], samples[-1][0]
        used = [bytes_ for moment, bytes_ in samples if moment >= born + self._warm]
        count = len(used)
        if last - born < self._long_life or count < _TENTHS:
            return None
        cuts = [place * count // _TENTHS for place in range(_TENTHS + 1)]
        tenths = (used[begin:end] for begin, end in itertools.pairwise(cuts))
        medians = tuple(int(statistics.median(tenth)) for tenth in tenths)
        return Life(name, last - born, medians, max(used))
