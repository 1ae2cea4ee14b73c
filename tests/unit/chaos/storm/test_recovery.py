"""What counts as the time of a recovery."""

from math import inf

from tests.chaos.faults.contract import Strike
from tests.chaos.load.rates import Rates
from tests.chaos.recovery import STALL, Recovery, first_successes, full_again


def _rates(*successes: float) -> Rates:
    rates = Rates()
    for moment in successes:
        rates.count(moment, success=True)
    return rates


def test_a_recovery_ends_with_the_first_success_after_everything_is_back() -> None:
    strikes = [Strike("kill redis", 10.0, 11.0, "redis")]
    recoveries, never = first_successes(strikes, "redis", _rates(9.0, 13.0, 14.0))
    assert recoveries == [Recovery("kill redis", "redis", 2.0, inf)]
    assert never == []


def test_while_another_fault_is_on_the_way_nobody_has_to_answer() -> None:
    strikes = [
        Strike("kill redis", 10.0, 11.0, "redis"),
        Strike("kill rabbitmq", 10.5, 16.0, "rabbitmq"),
        Strike("stop agent", 15.0, 17.0, "redis"),
    ]
    recoveries, _never = first_successes(strikes, "redis", _rates(9.0, 18.0))
    assert recoveries == [Recovery("stop agent", "redis", 1.0, inf)]


def test_a_killed_agent_is_no_reason_to_wait_where_another_one_lives() -> None:
    strikes = [
        Strike("kill redis", 10.0, 11.0, "redis"),
        Strike("kill agent", 10.5, 17.0, "redis"),
    ]
    several, _never = first_successes(strikes, "redis", _rates(9.0, 18.0))
    assert several == [Recovery("kill redis", "redis", 7.0, inf)]
    single, _never = first_successes(strikes, "redis", _rates(9.0, 18.0), agents=1)
    assert single == [Recovery("kill agent", "redis", 1.0, inf)]


def test_the_next_fault_does_not_hide_that_nothing_succeeded_before_it() -> None:
    strikes = [
        Strike("kill redis", 10.0, 11.0, "redis"),
        Strike("stop redis", 18.0, 19.0, "redis"),
        Strike("stop redis", 30.0, 31.0, "redis"),
    ]
    recoveries, _never = first_successes(strikes, "redis", _rates(9.0, 20.0, 32.0))
    assert recoveries == [
        Recovery("stop redis", "redis", 7.0, 11.0),
        Recovery("stop redis", "redis", 1.0, inf),
    ]


def test_while_the_machine_stands_still_nobody_can_answer() -> None:
    stall = Strike(STALL, 12.0, 20.0)
    strikes = [Strike("kill redis", 10.0, 11.0, "redis"), stall]
    recoveries, _never = first_successes(strikes, "redis", _rates(9.0, 20.5))
    assert recoveries == [Recovery(STALL, "redis", 1.0, inf)]
    assert first_successes([stall], "redis", _rates(9.0, 20.5)) == ([], [])


def test_a_fault_of_agents_alone_is_no_recovery() -> None:
    strikes = [Strike("stop agent", 10.0, 11.0, "redis")]
    assert first_successes(strikes, "redis", _rates(9.0, 12.0)) == ([], [])


def test_what_hits_another_backend_is_not_on_the_way() -> None:
    strikes = [
        Strike("kill redis", 10.0, 11.0, "redis"),
        Strike("kill postgres", 10.0, 30.0, "postgres"),
    ]
    recoveries, _never = first_successes(strikes, "redis", _rates(12.0))
    assert recoveries == [Recovery("kill redis", "redis", 1.0, inf)]


def test_a_strike_after_which_nothing_succeeds_is_told() -> None:
    strike = Strike("kill rabbitmq", 10.0, 11.0, "rabbitmq")
    assert first_successes([strike], "sqlite", _rates(9.0)) == ([], [strike])


def test_full_is_what_the_throughput_was() -> None:
    rates = Rates()
    for tenth in range(300):
        moment = tenth / 10 + 0.05
        for _answer in range(0 if 10 <= moment < 12 else 1 if moment < 15 else 10):
            rates.count(moment, success=True)
    seconds = full_again(rates, usual=100.0, healed_at=12.0, until=30.0)
    assert seconds is not None
    assert 2.5 <= seconds <= 3.0
    assert full_again(rates, usual=200.0, healed_at=12.0, until=30.0) is None


def test_nothing_is_not_as_before_where_there_was_nothing_before() -> None:
    assert full_again(_rates(), usual=0.0, healed_at=12.0, until=30.0) is None
