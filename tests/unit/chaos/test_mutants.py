"""The planted defects themselves: they can be planted, and leave nothing behind."""

import pytest

from tests.chaos.mutants.catalogue import MUTANTS
from tests.chaos.mutants.contract import Mutant
from tests.chaos.mutants.planting import Patches, planted


class _Owner:
    def say(self) -> str:
        return "right"


def test_there_are_at_least_twenty_and_each_has_its_own_name() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 20


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_finds_what_it_replaces(mutant: Mutant) -> None:
    with planted(mutant):
        assert mutant.defect


def test_what_was_replaced_is_put_back() -> None:
    before = _Owner.say
    mutant = Mutant(
        "wrong", "", lambda patch: patch.replace(_Owner, "say", lambda _: "wrong"), frozenset()
    )
    with planted(mutant):
        assert _Owner().say() == "wrong"
    assert _Owner.say is before


def test_a_place_that_is_gone_is_an_error() -> None:
    with pytest.raises(AttributeError, match="has no shout"):
        Patches().replace(_Owner, "shout", None)
