"""Who may have a lock when, as far as a history tells it for certain."""

from typing import Any, Final

from tests.chaos.checks.check import check
from tests.chaos.checks.promises import LOCKED
from tests.chaos.history import Answer, Exchange, History

_CONFLICT: Final = {"status": "error", "error": "held", "error_type": "conflict", "details": {}}


class Told:
    """A history of one lock, told message by message."""

    def __init__(self) -> None:
        self.history = History([], {})

    def acquire(self, asked_at: float, token: int, seconds: float = 10.0) -> None:
        """It was given, and the answer came a second later."""
        self._tell("lock_acquire", asked_at, _success(token), lease_seconds=seconds)

    def refuse(self, asked_at: float) -> None:
        """It was asked for, and somebody else had it."""
        self._tell("lock_acquire", asked_at, {**_CONFLICT, "meta": {}}, lease_seconds=10.0)

    def renew(
        self, asked_at: float, token: int, seconds: float, *, is_answered: bool = True
    ) -> None:
        """It was prolonged or, without an answer, may have been."""
        answer = _success(token) if is_answered else None
        self._tell("lock_renew", asked_at, answer, token=token, lease_seconds=seconds)

    def release(self, asked_at: float, token: int, *, is_answered: bool = True) -> None:
        """It was given back or, without an answer, may have been."""
        answer = _success(token) if is_answered else None
        self._tell("lock_release", asked_at, answer, token=token)

    @property
    def is_wrong(self) -> bool:
        """Whether the promise of locks is broken."""
        return LOCKED in {violation.promise for violation in check(self.history)}

    def _tell(self, action: str, asked_at: float, answer: Answer | None, **payload: object) -> None:
        exchanges = self.history.exchanges
        message: dict[str, Any] = {"id": f"m{len(exchanges)}", "action": action}
        message["payload"] = {"name": "door", **payload}
        answered_at = None if answer is None else asked_at + 1
        exchanges.append(Exchange(message, asked_at, answered_at, answer))


def _success(token: int) -> Answer:
    return {"status": "success", "result": {"name": "door", "token": token}, "meta": {}}


# -- a second holder ---------------------------------------------------------------------------


def test_nobody_gets_a_lock_while_a_lease_of_it_holds() -> None:
    told = Told()
    told.acquire(0, 1)
    told.acquire(5, 2)
    assert told.is_wrong


def test_a_lock_that_was_released_may_be_given_at_once() -> None:
    told = Told()
    told.acquire(0, 1)
    told.release(2, 1)
    told.acquire(3, 2)
    assert not told.is_wrong


def test_a_release_without_an_answer_may_have_been_one() -> None:
    told = Told()
    told.acquire(0, 1)
    told.release(2, 1, is_answered=False)
    told.acquire(3, 2)
    assert not told.is_wrong


def test_a_release_that_was_asked_for_later_excuses_nobody() -> None:
    told = Told()
    told.acquire(0, 1)
    told.acquire(3, 2)
    told.release(7, 1, is_answered=False)
    assert told.is_wrong


def test_a_lock_may_be_given_again_when_its_lease_can_have_ended() -> None:
    told = Told()
    told.acquire(0, 1)
    told.acquire(9, 2)
    assert not told.is_wrong


def test_a_renewed_lease_holds_longer() -> None:
    told = Told()
    told.acquire(0, 1)
    told.renew(5, 1, 10)
    told.acquire(11, 2)
    assert told.is_wrong


def test_a_renewed_lease_may_be_shorter_than_before() -> None:
    told = Told()
    told.acquire(0, 1)
    told.renew(2, 1, 1)
    told.acquire(4, 2)
    assert not told.is_wrong


def test_of_renewals_at_the_same_time_each_may_have_been_the_last() -> None:
    told = Told()
    told.acquire(0, 1)
    told.renew(2, 1, 30)
    told.renew(2.5, 1, 1, is_answered=False)
    told.acquire(5, 2)
    assert not told.is_wrong


# -- a lease that does not end -----------------------------------------------------------------


def test_who_is_refused_while_a_lease_can_hold_is_refused_rightly() -> None:
    told = Told()
    told.acquire(0, 1)
    told.refuse(10.5)
    assert not told.is_wrong


def test_nobody_is_refused_for_a_lease_that_has_ended() -> None:
    told = Told()
    told.acquire(0, 1)
    told.refuse(12)
    assert told.is_wrong


def test_who_is_refused_for_a_renewed_lease_is_refused_rightly() -> None:
    told = Told()
    told.acquire(0, 1)
    told.renew(5, 1, 10)
    told.refuse(12)
    assert not told.is_wrong


def test_a_renewal_without_an_answer_may_take_effect_at_any_time() -> None:
    told = Told()
    told.acquire(0, 1)
    told.renew(5, 1, 1, is_answered=False)
    told.refuse(1_000)
    assert not told.is_wrong


def test_nobody_is_refused_for_a_holder_before_the_last() -> None:
    told = Told()
    told.acquire(0, 1, 100)
    told.release(1, 1, is_answered=False)
    told.acquire(2, 2, 10)
    told.release(4, 2)
    told.refuse(6)
    assert told.is_wrong


# -- clocks ------------------------------------------------------------------------------------


def test_where_clocks_jump_a_lease_may_end_early_or_late() -> None:
    early, late = Told(), Told()
    early.acquire(0, 1)
    early.acquire(5, 2)
    late.acquire(0, 1)
    late.refuse(1_000)
    assert early.is_wrong
    assert late.is_wrong

    early.history.clocks_right_until = late.history.clocks_right_until = 4
    assert not early.is_wrong
    assert not late.is_wrong
