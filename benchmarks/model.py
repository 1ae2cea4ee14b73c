"""What a benchmark is: series that are measured, and goals that hold between them.

A ratio is taken within one run, in which the measured thing and its reference took turns, so
that a drift of the machine cancels; the figure is the median of the runs' ratios.
"""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from statistics import median
from typing import ClassVar, Literal, TypeAlias

from .environment import Bench

Sample: TypeAlias = Mapping[str, float]
"""One run's values, by the name of the series."""

Measure: TypeAlias = Callable[[], Awaitable[Sample]]
"""Measures every series of a case once."""


@dataclass(frozen=True, slots=True)
class Series:
    """One thing that is measured.

    Args:
        what: told in the table.
        unit: of its values, e.g. `/s`, `ms`, `MiB`.
    """

    what: str
    unit: str


@dataclass(frozen=True, slots=True)
class Goal:
    """What a figure should be.

    Args:
        series: the measured one.
        bound: whether the figure shall be `at least` or `at most` the target.
        target: a factor of the reference, or, without one, a value in the series' unit.
        reference: the series it is divided by; several are added up.
    """

    series: str
    bound: Literal["at least", "at most"]
    target: float
    reference: tuple[str, ...] = ()

    def figure(self, sample: Sample) -> float:
        """The ratio, or the value where there is no reference."""
        value = sample[self.series]
        if not self.reference:
            return value
        return value / sum(sample[name] for name in self.reference)

    def is_met(self, figure: float) -> bool:
        """Whether a figure reaches the target."""
        return figure >= self.target if self.bound == "at least" else figure <= self.target


class Case(ABC):
    """A subject: series and goals, and how to measure them.

    Args (class variables):
        name: to choose it by.
        title: one line.
        repeated: whether it is measured in several runs; a long one is measured once.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    series: ClassVar[Mapping[str, Series]]
    goals: ClassVar[Sequence[Goal]] = ()
    repeated: ClassVar[bool] = True

    @abstractmethod
    def prepare(self, bench: Bench) -> AbstractAsyncContextManager[Measure]:
        """Start what is needed, and give what measures; everything is ended at the exit."""


@dataclass(slots=True)
class Result:
    """What became of a case."""

    case: Case
    samples: list[Sample] = field(default_factory=list)
    seconds: float = 0.0
    load: float = 0.0
    error: str | None = None
    notes: list[str] = field(default_factory=list)

    def value(self, series: str) -> float | None:
        """The median of a series over the runs; None when it was not measured."""
        values = [sample[series] for sample in self.samples if series in sample]
        return median(values) if values else None

    def figure(self, goal: Goal) -> float | None:
        """The median of a goal's figure over the runs; None when it was not measured."""
        wanted = {goal.series, *goal.reference}
        figures = [goal.figure(sample) for sample in self.samples if wanted <= sample.keys()]
        return median(figures) if figures else None
