"""Each way to make a history wrong is found, and called by the promise that it breaks."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.chaos.checks import promises
from tests.chaos.checks.check import check
from tests.unit.chaos.checks import misreading, refusing  # noqa: F401 - they register
from tests.unit.chaos.checks.honest import honest_history
from tests.unit.chaos.checks.tampering import TAMPERINGS

_JUDGED_ELSEWHERE = {promises.MEMORY, promises.RECOVERY, promises.SANE, promises.STANDS}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_every_tampering_is_named(name: str) -> None:
    tampering, promise = TAMPERINGS[name]
    done = 0
    for seed in range(8):
        history = honest_history(seed, 250)
        if tampering(history, Random(seed)):
            done += 1
            found = {violation.promise for violation in check(history)}
            assert promise in found, f"seed {seed}: {found or 'nothing'}"
        if done == 2:
            return
    assert done, "no history has anything of that kind"


@given(seed=st.integers(0, 2**32), name=st.sampled_from(sorted(TAMPERINGS)))
@settings(max_examples=40, deadline=None)
def test_no_tampering_passes(seed: int, name: str) -> None:
    history = honest_history(seed, 100)
    try:
        tampered = TAMPERINGS[name][0](history, Random(seed))
    except (IndexError, StopIteration, ValueError):
        return  # so short a history has nothing of that kind
    assert not tampered or check(history)


def test_every_promise_can_be_broken() -> None:
    every = {value for name, value in vars(promises).items() if name.isupper()}
    assert {promise for _tampering, promise in TAMPERINGS.values()} == every - _JUDGED_ELSEWHERE
