"""What a failover took: the acknowledged writes that are gone, and the history of what is left."""

from collections.abc import Set
from dataclasses import replace
from typing import Final

from tests.chaos.checks.check import check
from tests.chaos.checks.promises import LOCKED
from tests.chaos.history import Answer, Exchange, History, Violation

_WRITES: Final = frozenset({"storage_save", "storage_update", "storage_delete"})


def lost(history: History) -> list[Exchange]:
    """The writes that were answered with a success, and made none of the events that are kept."""
    kept = _kept(history)
    return [
        exchange
        for exchange in history.exchanges
        if exchange.message["action"] in _WRITES
        and exchange.answer is not None
        and exchange.answer["status"] == "success"
        and exchange.message["id"] not in kept
    ]


def check_what_is_kept(history: History) -> list[Violation]:
    """Where what is kept contradicts itself, or the answers that belong to it.

    As if there had only been those messages whose effect is kept. A message whose effect was lost
    and that came again has another effect, and another answer, which is the one that counts. What
    was read may have been lost since, so it says nothing; nor do locks, which leave no events.
    """
    violations = check(_survivors(history))
    return [one for one in violations if one.promise != LOCKED]


def _survivors(history: History) -> History:
    kept = _kept(history)
    left = [
        replace(exchange, answer=_last_answer(exchange), contradictions=[])
        for exchange in history.exchanges
        if exchange.message["id"] in kept
    ]
    return History(left, history.kept)


def _last_answer(exchange: Exchange) -> Answer | None:
    return exchange.contradictions[-1] if exchange.contradictions else exchange.answer


def _kept(history: History) -> Set[str]:
    return {event["message_id"] for kept in history.kept.values() for event in kept.events}
