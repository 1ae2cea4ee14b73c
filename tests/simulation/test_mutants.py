"""The simulation finds the defects that are planted; see tests/chaos/mutants/catalogue.py.

What it does not see is in `ELSEWHERE`; tests/chaos/test_mutants.py plants that in real processes.
"""

import itertools
from typing import Final

import pytest

from tests.chaos.mutants.catalogue import MUTANTS
from tests.chaos.mutants.contract import Mutant
from tests.chaos.mutants.planting import planted
from tests.chaos.mutants.where import ELSEWHERE
from tests.simulation.campaign import simulate

_KNOWN: Final = {"acked-without-reply": 20, "cancelled-only-this-time": 30}
"""Seeds that found them before, tried first: a test should not search for long."""
_SEEDS: Final = 1_500
_PATIENCE: Final = 240.0
"""Seconds: a bound for a machine that is busy, and never what decides."""


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    "mutant",
    [mutant for mutant in MUTANTS if mutant.name not in ELSEWHERE],
    ids=lambda mutant: mutant.name,
)
def test_a_planted_defect_is_found(mutant: Mutant) -> None:
    known = [_KNOWN[mutant.name]] if mutant.name in _KNOWN else []
    seeds = itertools.chain(known, range(1, _SEEDS))

    with planted(mutant):
        tally, found = simulate(seeds, seconds=_PATIENCE, promises=mutant.promises)

    assert found is not None, f"{mutant.defect} {tally.episodes} episodes noticed nothing"
