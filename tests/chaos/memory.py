"""The memory of processes, looked at now and then, and what became of it."""

import statistics
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from tests.chaos.agents import Agent
from tests.chaos.checks.promises import MEMORY
from tests.chaos.history import Violation
from tests.chaos.processes import resident_bytes

MEBI: Final = 1024 * 1024
_GROWTH: Final = 0.2
_ALLOWED: Final = 16 * MEBI  # growth that is nothing, whatever part it is


@dataclass(frozen=True, slots=True)
class Life:
    """The memory of a process that lived long.

    Args:
        seconds: how long it was looked at.
        begin: bytes, the median of the first tenth; `end` that of the last tenth.
        most: the most that was seen.
    """

    agent: str
    seconds: float
    begin: int
    end: int
    most: int

    @property
    def grows(self) -> bool:
        """More than a fifth, and more than is worth a word."""
        grown = self.end - self.begin
        return grown > _ALLOWED and grown > _GROWTH * self.begin


class Memory:
    """Samples of all agent processes.

    Args:
        long_life: seconds; what is younger tells nothing.
        warm: seconds: a process that has just begun is still loading.
    """

    def __init__(self, long_life: float = 120.0, warm: float = 20.0) -> None:
        self._long_life = long_life
        self._warm = warm
        self._samples: dict[tuple[str, int], list[tuple[float, int]]] = {}

    def look(self, agents: Iterable[Agent]) -> None:
        """Take one sample of each."""
        now = time.monotonic()
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
        if last - born < self._long_life or len(used) < 10:
            return None
        tenth = max(1, len(used) // 10)
        begin, end = statistics.median(used[:tenth]), statistics.median(used[-tenth:])
        return Life(name, last - born, int(begin), int(end), max(used))
