"""What a failover took, whether it may have taken that, and the history of what is left.

A master that dies takes along what no replica had yet, and nothing else. So whatever is lost was
on its disk, and was answered when it was alive, or shortly after: what comes later was answered
by its successor, and has to be there.
"""

from collections.abc import Iterator, Set
from dataclasses import dataclass, replace
from math import inf
from typing import Final

from tests.chaos.checks.answers import answered
from tests.chaos.checks.check import check
from tests.chaos.checks.ledger import Ledger
from tests.chaos.checks.promises import KEPT, LOCKED, SAME_ANSWER
from tests.chaos.checks.steps import WRITES, steps_of
from tests.chaos.history import Exchange, History, Violation

ON_THE_WAY: Final = 1.0
"""Seconds from the master by an agent and the broker to whoever asked, on a busy machine. Another
master takes longer to be there: so long nobody even calls the former one dead."""


@dataclass(frozen=True, slots=True)
class Death:
    """A master's.

    Args:
        at: when it was over: it has answered nothing since. Seconds of CLOCK_MONOTONIC.
        on_disk: the ids of the messages whose changes it had written.
    """

    at: float
    on_disk: Set[str]


def lost(history: History) -> list[Exchange]:
    """The writes that were answered with a success, and did not make all events that are kept.

    Of what was asked again and answered otherwise, the first effect is lost, too.
    """
    events_of = Ledger(history).events_of
    return [
        exchange
        for exchange in history.exchanges
        if (wanted := _writes(exchange))
        and (exchange.contradictions or len(events_of.get(exchange.message["id"], ())) < wanted)
    ]


def check_losses(history: History, death: Death) -> list[Violation]:
    """Where more is lost than a death explains, or what is kept contradicts itself."""
    return [
        *_unexplained(history, death),
        *answered(Ledger(_without_silent_losses(history, death))),
        *_check_what_is_kept(history),
    ]


def _unexplained(history: History, death: Death) -> Iterator[Violation]:
    for exchange in lost(history):
        said = f"{exchange.message['id']} {exchange.message['action']} is lost"
        if exchange.message["id"] not in death.on_disk:
            yield Violation(KEPT, f"{said}, and the master that died never had it")
        elif _is_late(exchange, death):
            yield Violation(KEPT, f"{said}, though it was answered after the death")
    for exchange in history.exchanges:
        if exchange.contradictions and _is_late(exchange, death):
            text = f"{exchange.message['id']}: {exchange.answer} and then {exchange.contradictions}"
            yield Violation(SAME_ANSWER, text)


def _is_late(exchange: Exchange, death: Death) -> bool:
    moment = exchange.answered_at
    return exchange.asked_at > death.at or moment is None or moment > death.at + ON_THE_WAY


def _writes(exchange: Exchange) -> int:
    """How many of its writes were answered with a success."""
    return sum(step.succeeded and step.action in WRITES for step in steps_of(exchange))


def _without_silent_losses(history: History, death: Death) -> History:
    """Nobody asks again for what was not to be answered: it may have died with the master."""
    left = [
        exchange
        for exchange in history.exchanges
        if exchange.expects == "answer" or exchange.message["id"] not in death.on_disk
    ]
    return replace(history, exchanges=left)


def _check_what_is_kept(history: History) -> list[Violation]:
    """Where what is kept contradicts itself, or the answers that belong to it.

    As if there had only been those messages whose effect is kept. A message whose effect was lost
    and that came again has another effect, and another answer, which is the one that counts. What
    was read may have been lost since, so it says nothing; nor do locks, which leave no events.
    """
    violations = check(_survivors(history))
    return [one for one in violations if one.promise != LOCKED]


def _survivors(history: History) -> History:
    kept = {event["message_id"] for kept in history.kept.values() for event in kept.events}
    left = [
        _as_it_counts(exchange) for exchange in history.exchanges if exchange.message["id"] in kept
    ]
    return History(left, history.kept)


def _as_it_counts(exchange: Exchange) -> Exchange:
    """With its last answer; when that came is known of the first one only."""
    if not exchange.contradictions:
        return exchange
    last = exchange.contradictions[-1]
    return replace(exchange, answer=last, answered_at=inf, contradictions=[])
