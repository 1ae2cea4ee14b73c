"""Answers by the moment they came."""

from tests.chaos.load.rates import Rates


def counted(*moments: float, success: bool = True) -> Rates:
    rates = Rates()
    for moment in moments:
        rates.count(moment, success=success)
    return rates


def test_the_first_success_after_a_moment_is_told_to_a_tenth_of_a_second() -> None:
    rates = counted(10.01, 10.05, 14.32, 14.38)
    assert rates.first_success_after(9.0) == 10.01
    assert rates.first_success_after(10.2) == 14.32
    assert rates.first_success_after(14.35) == 14.35  # within its bucket
    assert rates.first_success_after(14.4) is None


def test_an_error_is_an_answer_and_no_success() -> None:
    rates = counted(10.0, 11.0, success=False)
    assert rates.first_success_after(9.0) is None
    assert rates.between(10.0, 12.0) == 1.0


def test_a_rate_counts_what_came_in_between() -> None:
    rates = counted(*(10 + number / 50 for number in range(100)), 20.0)
    assert round(rates.between(10.0, 12.0)) == 50
    assert rates.between(13.0, 15.0) == 0
