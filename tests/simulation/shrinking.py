"""From an episode that breaks a promise to a small one that breaks it, too.

Delta debugging (Zeller, Hildebrandt: "Simplifying and Isolating Failure-Inducing Input", 2002) over
the operations and the injected faults, in turns; the seed of schedule and latencies stays.
"""

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from tests.simulation.episode import Outcome, run
from tests.simulation.plans import Plan

T = TypeVar("T")


def shrink(outcome: Outcome, seconds: float) -> Outcome:
    """The smallest episode that breaks one of the same promises and was found in time.

    Raises ValueError where the outcome broke none.
    """
    if not outcome.violations:
        raise ValueError("it broke no promise")
    promises = {violation.promise for violation in outcome.violations}
    ends_at = time.monotonic() + seconds
    best = outcome

    def fails(plan: Plan) -> bool:
        nonlocal best
        if time.monotonic() >= ends_at:
            return False
        tried = run(plan)
        if promises.isdisjoint(violation.promise for violation in tried.violations):
            return False
        best = tried
        return True

    # First with the faults written down; where that is another run already, nothing is gained.
    if not fails(outcome.plan.with_faults(outcome.faults)):
        return outcome
    before = (-1, -1)
    while before != (now := (len(best.plan.operations), len(best.faults))):
        before = now
        plan = best.plan
        _minimize(plan.operations, lambda kept: fails(best.plan.with_operations(kept)))
        _minimize(best.faults, lambda kept: fails(best.plan.with_faults(kept)))
    return best


def _minimize(items: Sequence[T], fails: Callable[[Sequence[T]], bool]) -> None:
    """Leave out as much as can be: halves first, single ones at last."""
    parts = 2
    while items:
        size = max(1, -(-len(items) // parts))
        for start in range(0, len(items), size):
            rest = [*items[:start], *items[start + size :]]
            if fails(rest):
                items = rest
                parts = max(2, parts - 1)
                break
        else:
            if size == 1:
                return
            parts = min(len(items), parts * 2)
