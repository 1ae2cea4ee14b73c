"""When each change of a collection can have been committed.

A change was committed between the question and the answer of its message, and never before one
with a lower sequence. A read that stands after a change was answered after that change was
committed, and asked before the next one was. So each change has an earliest and a latest moment,
and neither goes back along the sequence. Where the earliest is after the latest, what was
answered cannot have happened.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from math import inf

from tests.chaos.checks.steps import Step
from tests.chaos.history import Exchange


class Timeline:
    """The moments of one collection's changes; change 0 is the empty beginning."""

    def __init__(self, last: int) -> None:
        self.last = last
        self._earliest = [-inf] * (last + 1)
        self._latest = [inf] * (last + 1)

    def changed(self, sequence: int, exchange: Exchange) -> None:
        """A message made this change."""
        self._earliest[sequence] = max(self._earliest[sequence], exchange.asked_at)
        if exchange.answered_at is not None:
            self._latest[sequence] = min(self._latest[sequence], exchange.answered_at)

    def read(self, step: Step) -> None:
        """A read stands after this change, and before the next."""
        sequence, exchange = step.sequence, step.exchange
        if sequence > self.last:
            return  # for another check
        assert exchange.answered_at is not None
        self._latest[sequence] = min(self._latest[sequence], exchange.answered_at)
        if sequence < self.last:
            self._earliest[sequence + 1] = max(self._earliest[sequence + 1], exchange.asked_at)

    def close(self) -> None:
        """Everything is told: let the moments follow from each other."""
        for sequence in range(1, self.last + 1):
            self._earliest[sequence] = max(self._earliest[sequence], self._earliest[sequence - 1])
        for sequence in range(self.last - 1, -1, -1):
            self._latest[sequence] = min(self._latest[sequence], self._latest[sequence + 1])

    def impossible(self) -> Iterator[int]:
        """The changes that can have been committed at no moment."""
        pairs = zip(self._earliest, self._latest, strict=True)
        return (sequence for sequence, (low, high) in enumerate(pairs) if low > high)

    def window(self, asked_at: float, answered_at: float) -> tuple[int, int]:
        """The first and the last change that a message between these moments can stand after."""
        first = bisect_left(self._latest, asked_at) - 1
        last = bisect_right(self._earliest, answered_at) - 1
        return max(first, 0), max(last, 0)


def timeline_of(
    last: int, changes: Iterable[tuple[int, Exchange]], reads: Iterable[Step]
) -> Timeline:
    """The moments of a collection whose last change is `last`."""
    timeline = Timeline(last)
    for sequence, exchange in changes:
        timeline.changed(sequence, exchange)
    for step in reads:
        timeline.read(step)
    timeline.close()
    return timeline
