"""The simulation: the same each time, and nothing broken in thousands of faulted deliveries."""

import itertools
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.simulation.campaign import simulate
from tests.simulation.episode import run
from tests.simulation.plans import draw_plan

FAULTED = 1_500
SECONDS = 120.0
"""A bound for a machine that is busy; it takes a few."""
_DIGEST = """
from tests.simulation.episode import run
from tests.simulation.plans import draw_plan
print(run(draw_plan({seed}), is_traced=True).digest)
"""


def _digest_elsewhere(seed: int, hashes: str) -> str:
    """The digest of a seed's trace in another process."""
    done = subprocess.run(
        [sys.executable, "-c", _DIGEST.format(seed=seed)],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONHASHSEED": hashes},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout.strip()


def test_a_seed_makes_the_same_episode_again() -> None:
    for seed in range(3):
        first = run(draw_plan(seed), is_traced=True)
        again = run(draw_plan(seed), is_traced=True)
        assert first.trace == again.trace
        assert first.digest == again.digest


def test_a_seed_makes_the_same_episode_in_another_process() -> None:
    here = run(draw_plan(9), is_traced=True).digest
    assert _digest_elsewhere(9, "1") == here
    assert _digest_elsewhere(9, "2") == here


def test_the_faults_that_were_written_down_make_the_same_episode() -> None:
    drawn = run(draw_plan(4), is_traced=True)
    assert drawn.faults
    given = run(drawn.plan.with_faults(drawn.faults), is_traced=True)
    assert given.faults == drawn.faults
    assert given.digest == drawn.digest


def test_nothing_is_broken_with_seeds_that_are_always_the_same() -> None:
    tally, failed = simulate(itertools.count(), faulted=FAULTED, seconds=SECONDS)
    assert failed is None, (failed.plan.seed, failed.violations)
    assert tally.all_faulted >= FAULTED


def test_nothing_is_broken_with_seeds_that_are_new_each_time(
    capsys: pytest.CaptureFixture[str],
) -> None:
    first = time.time_ns() // 1_000
    with capsys.disabled():
        sys.stdout.write(f"[simulation: seeds from {first}] ")
    tally, failed = simulate(itertools.count(first), faulted=FAULTED, seconds=SECONDS)
    assert failed is None, (failed.plan.seed, failed.violations)
    assert tally.all_faulted >= FAULTED
