"""What a failover may have taken, and what it cannot have."""

from copy import deepcopy
from dataclasses import replace

import pytest

from tests.chaos.checks.promises import ANSWERED, KEPT, SAME_ANSWER
from tests.chaos.clusters.losses import ON_THE_WAY, Death, check_losses, lost
from tests.chaos.history import Exchange, History
from tests.unit.chaos.checks.honest import honest_history
from tests.unit.chaos.checks.tampering import answer_of, successes

LOST = "lost"
DEATH = Death(1_000.0, {LOST})
WRITES = ("storage_save", "storage_update", "storage_delete", "storage_batch")


@pytest.mark.parametrize("action", WRITES)
def test_what_was_acknowledged_before_the_death_may_be_lost(action: str) -> None:
    history = honest_history(5)
    exchange = _lose(history, action, DEATH.at)
    assert lost(history) == [exchange]
    assert check_losses(history, DEATH) == []


@pytest.mark.parametrize("action", WRITES)
def test_what_was_acknowledged_after_the_failover_may_not(action: str) -> None:
    history = honest_history(5)
    _lose(history, action, DEATH.at + ON_THE_WAY + 0.1)
    assert _broken(history) == [KEPT]


def test_what_was_asked_after_the_death_may_not_be_lost_however_soon_it_was_answered() -> None:
    history = honest_history(5)
    _lose(history, "storage_save", DEATH.at + 0.1).asked_at = DEATH.at + 0.05
    assert _broken(history) == [KEPT]


@pytest.mark.parametrize("action", WRITES)
def test_what_the_dead_master_never_had_was_acknowledged_by_nobody(action: str) -> None:
    history = honest_history(5)
    _lose(history, action, DEATH.at)
    assert _broken(history, replace(DEATH, on_disk=frozenset())) == [KEPT]


def test_a_batch_that_only_read_loses_nothing() -> None:
    history = honest_history(5)
    exchange = _lose(history, "storage_batch", DEATH.at)
    operation = {"action": "storage_get", "payload": {"task_id": 1}}
    read = {"collection": "orders", "operations": [operation]}
    exchange.message = {**exchange.message, "payload": read}
    exchange.answer = {**answer_of(exchange), "result": answer_of(exchange)["result"][:1]}
    assert lost(history) == []


def test_what_comes_again_is_answered_otherwise_only_if_its_first_effect_may_be_lost() -> None:
    history = honest_history(5)
    exchange = successes(history, "storage_update")[-1]
    exchange.contradictions.append(deepcopy(answer_of(exchange)))
    exchange.asked_at = exchange.answered_at = -1.0  # long before the effect that is kept
    had = Death(DEATH.at, {exchange.message["id"]})
    assert check_losses(history, had) == []
    assert _broken(history) == [KEPT]

    exchange.answer = {**answer_of(exchange), "status": "error", "error_type": "not_found"}
    assert _broken(history) == []
    exchange.answered_at = DEATH.at + ON_THE_WAY + 0.1
    assert _broken(history) == [SAME_ANSWER]


def test_everything_is_answered_all_the_same() -> None:
    history = honest_history(5)
    exchange = _lose(history, "storage_save", DEATH.at)
    exchange.answer = exchange.answered_at = None
    assert _broken(history) == [ANSWERED]
    history.exchanges.remove(exchange)
    history.left_in_queues = 1
    assert _broken(history) == [ANSWERED]


def test_what_nobody_waited_for_may_be_lost_with_the_master_that_had_it() -> None:
    history = honest_history(5)
    exchange = _lose(history, "storage_save", DEATH.at)
    exchange.expects, exchange.answer, exchange.answered_at = "effect", None, None
    assert _broken(history) == []
    assert _broken(history, replace(DEATH, on_disk=frozenset())) == [ANSWERED]


def _lose(history: History, action: str, answered_at: float) -> Exchange:
    """A write that was answered with a success, and of which nothing is left."""
    made = {event["message_id"] for kept in history.kept.values() for event in kept.events}
    like = next(e for e in successes(history, action) if e.message["id"] in made)
    message = {**like.message, "id": LOST}
    exchange = Exchange(message, DEATH.at - 1.0, answered_at, deepcopy(like.answer))
    history.exchanges.append(exchange)
    return exchange


def _broken(history: History, death: Death = DEATH) -> list[str]:
    return [violation.promise for violation in check_losses(history, death)]
