"""What the simulation finds: a planted defect, again with the same seed, and made small."""

import dataclasses
import json

import pytest

from holdfast_backends.store import Changes
from tests.simulation.campaign import simulate
from tests.simulation.database import Core
from tests.simulation.episode import run
from tests.simulation.plans import plan_from_json
from tests.simulation.shrinking import shrink


@pytest.fixture
def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that keeps no replies: whatever comes twice is done twice."""
    real = Core.commit

    def commit(self: Core, changes: Changes) -> None:
        real(self, dataclasses.replace(changes, replies={}))

    monkeypatch.setattr(Core, "commit", commit)


@pytest.mark.usefixtures("forgotten")
def test_a_planted_defect_is_found_and_made_small_and_comes_again() -> None:
    _tally, found = simulate(range(100), seconds=20)
    assert found is not None
    small = shrink(found, 10)
    assert small.violations
    assert len(small.plan.operations) < len(found.plan.operations) / 2
    assert len(small.faults) <= len(found.faults)
    text = json.dumps(small.plan.with_faults(small.faults).to_json())
    again = run(plan_from_json(json.loads(text)))
    assert again.violations == small.violations
