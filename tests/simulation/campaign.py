"""Many episodes with consecutive seeds, until enough deliveries have met a fault."""

import gc
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import inf
from multiprocessing import get_context
from typing import Final

from tests.simulation.episode import Outcome, run
from tests.simulation.plans import draw_plan

_CHUNK: Final = 20
"""Episodes that a process carries out before it tells of them."""


@dataclass(slots=True)
class Tally:
    """What episodes amounted to.

    Attributes:
        deliveries: bodies that were handed to a receiver or were lost on the way, by what they
            were.
        faulted: those of them that a fault met: lost, refused, doubled, late, out of order,
            unconfirmed, taken by a process that was killed or cut off, or brought again.
        kinds: injected faults, by point and kind.
        failed: the seeds of episodes that broke a promise.
        seconds: virtual ones.
    """

    episodes: int = 0
    deliveries: Counter[str] = field(default_factory=Counter)
    faulted: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    failed: list[int] = field(default_factory=list)
    steps: int = 0
    seconds: float = 0.0

    @property
    def all_deliveries(self) -> int:
        """Of all sorts."""
        return self.deliveries.total()

    @property
    def all_faulted(self) -> int:
        """Of all sorts."""
        return self.faulted.total()

    def count(self, outcome: Outcome) -> None:
        """One more episode."""
        self.episodes += 1
        self.deliveries += outcome.deliveries
        self.faulted += outcome.faulted
        self.kinds += outcome.kinds
        self.steps += outcome.steps
        self.seconds += outcome.seconds

    def add(self, other: "Tally") -> None:
        """Some more episodes."""
        self.episodes += other.episodes
        self.deliveries += other.deliveries
        self.faulted += other.faulted
        self.kinds += other.kinds
        self.failed += other.failed
        self.steps += other.steps
        self.seconds += other.seconds


def simulate(
    seeds: Iterable[int],
    *,
    faulted: float = inf,
    seconds: float = inf,
    promises: Collection[str] = (),
) -> tuple[Tally, Outcome | None]:
    """Episodes in this process, until one breaks a promise: that one, or None.

    Args:
        promises: go on until one of these is broken; empty for any.
        faulted: how many deliveries must have met a fault until it is enough.
        seconds: how long it may take, in real time.
    """
    tally = Tally()
    ends_at = time.monotonic() + seconds
    with _lasting_things_apart():
        for seed in seeds:
            outcome = run(draw_plan(seed))
            tally.count(outcome)
            if _breaks(outcome, promises):
                tally.failed.append(seed)
                return tally, outcome
            if tally.all_faulted >= faulted or time.monotonic() >= ends_at:
                break
    return tally, None


def _breaks(outcome: Outcome, promises: Collection[str]) -> bool:
    broken = [violation.promise for violation in outcome.violations]
    return any(promise in promises for promise in broken) if promises else bool(broken)


def campaign(first_seed: int, faulted: int, jobs: int, progress: Callable[[Tally], None]) -> Tally:
    """Episodes over several processes, until so many deliveries have met a fault, or one episode
    broke a promise. `progress` is told every few seconds."""
    tally = Tally()
    chunks = _chunks(first_seed)
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        running: set[Future[Tally]] = {
            pool.submit(_carry_out, next(chunks)) for _ in range(2 * jobs)
        }
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for one in done:
                tally.add(one.result())
                if tally.all_faulted < faulted and not tally.failed:
                    running.add(pool.submit(_carry_out, next(chunks)))
            progress(tally)
    return tally


def _chunks(first_seed: int) -> Iterator[range]:
    while True:
        yield range(first_seed, first_seed + _CHUNK)
        first_seed += _CHUNK


def _carry_out(seeds: range) -> Tally:
    """Some episodes, in a process of the pool; they go on after one that failed."""
    tally = Tally()
    with _lasting_things_apart():
        for seed in seeds:
            outcome = run(draw_plan(seed))
            tally.count(outcome)
            if outcome.violations:
                tally.failed.append(seed)
    return tally


@contextmanager
def _lasting_things_apart() -> Iterator[None]:
    """Each episode ends in a collection of its garbage: modules need not be looked at then."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
