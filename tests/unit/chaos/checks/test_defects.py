"""What is asked again until it succeeds may have been refused for a defect of our own."""

from tests.chaos.checks.defects import defects
from tests.chaos.checks.promises import SANE


def test_a_defect_of_our_own_is_a_violation_although_it_was_asked_again() -> None:
    assert [found.promise for found in defects({"unavailable": 3, "internal_error": 1})] == [SANE]


def test_who_is_away_or_has_too_much_to_do_breaks_no_promise() -> None:
    assert not list(defects({"unavailable": 3, "overloaded": 1, "storage_error": 2}))
