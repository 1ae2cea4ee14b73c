"""Locks: one holder at a time, tokens that only rise, and writes that only the holder makes.

How long leases hold is checked only while all clocks are right (`History.clocks_right_until`):
afterwards one may have been ended, or kept, by a clock that jumped.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import inf
from typing import Final

from tests.chaos.checks.leases import Lease
from tests.chaos.checks.ledger import Ledger
from tests.chaos.checks.promises import LOCKED
from tests.chaos.checks.steps import Step
from tests.chaos.history import Exchange, Violation

_ACTIONS: Final = frozenset({"lock_acquire", "lock_renew", "lock_release"})


@dataclass(slots=True)
class Lock:
    """What happened to one lock.

    Args:
        taken: the acquisitions, by token.
        twice: those that got a token that another one had.
        leases: what became of each token, also of one that is only guessed.
        released: when the answer to a token's release had come.
        refused: the acquisitions that were told that somebody else holds it.
        unanswered: whether an acquisition has no answer, so that a token may be unknown.
        writes: those that succeeded under a fence, by collection in the order of sequence.
    """

    taken: dict[int, Exchange] = field(default_factory=dict)
    twice: list[Exchange] = field(default_factory=list)
    leases: dict[int, Lease] = field(default_factory=lambda: defaultdict(Lease))
    released: dict[int, float] = field(default_factory=dict)
    refused: list[Exchange] = field(default_factory=list)
    unanswered: bool = False
    writes: dict[str, list[Step]] = field(default_factory=lambda: defaultdict(list))
    _superseded: dict[int, float] = field(default_factory=dict)

    def superseded_at(self, token: int) -> float:
        """When at the latest a newer token had been given. Asked when everything is entered."""
        if not self._superseded:
            earliest = inf
            for known, exchange in sorted(self.taken.items(), reverse=True):
                self._superseded[known] = earliest
                if exchange.answered_at is not None:
                    earliest = min(earliest, exchange.answered_at)
        return self._superseded.get(token, inf)

    def ended_at(self, token: int, *, by_time: bool) -> float:
        """When at the latest a lease had ended, whatever ended it."""
        over_at = self.leases[token].over_at() if by_time else inf
        return min(self.released.get(token, inf), self.superseded_at(token), over_at)


def locks(ledger: Ledger) -> Iterator[Violation]:
    """Each lock by itself."""
    right_until = ledger.history.clocks_right_until
    for name, lock in _collected(ledger).items():
        for exchange in lock.twice:
            yield Violation(LOCKED, f"{name}: {exchange.message['id']} got a token again")
        yield from _rising(name, lock)
        yield from _one_holder(name, lock, right_until)
        yield from _refusals(name, lock, right_until)
        for steps in lock.writes.values():
            yield from _in_turn(name, steps)
            for step in steps:
                yield from _by_holder(name, lock, step)


def _collected(ledger: Ledger) -> dict[str, Lock]:
    found: dict[str, Lock] = defaultdict(Lock)
    for exchange in ledger.history.exchanges:
        _enter(found, exchange)
    for book in ledger.books.values():
        for _sequence, steps in sorted(book.told.items()):
            for step in steps:
                fence = _fence(step)
                if fence is not None:
                    found[fence[0]].writes[book.name].append(step)
    return found


def _enter(found: dict[str, Lock], exchange: Exchange) -> None:
    message, answer = exchange.message, exchange.answer
    action, payload = message["action"], message["payload"]
    if action not in _ACTIONS:
        return
    lock = found[payload["name"]]
    if action == "lock_acquire":
        _enter_acquired(lock, exchange)
    elif answer is None or answer["status"] == "success":
        lease = lock.leases[payload["token"]]
        (lease.released_by if action == "lock_release" else lease.extended_by).append(exchange)
        if action == "lock_release" and exchange.answered_at is not None:
            lock.released.setdefault(payload["token"], exchange.answered_at)


def _enter_acquired(lock: Lock, exchange: Exchange) -> None:
    answer = exchange.answer
    if answer is None:
        lock.unanswered = True
    elif answer["status"] == "success":
        token = answer["result"]["token"]
        if lock.taken.setdefault(token, exchange) is exchange:
            lock.leases[token].extended_by.append(exchange)
        else:
            lock.twice.append(exchange)
    elif answer["error_type"] == "conflict":
        lock.refused.append(exchange)


def _rising(name: str, lock: Lock) -> Iterator[Violation]:
    """Who asked after another one had its answer has a higher token."""
    latest_question = -inf
    for token, exchange in sorted(lock.taken.items()):
        latest_question = max(latest_question, exchange.asked_at)
        if exchange.answered_at is not None and exchange.answered_at < latest_question:
            text = f"{name}: token {token} was given before a lower one was asked for"
            yield Violation(LOCKED, text)


def _one_holder(name: str, lock: Lock, right_until: float) -> Iterator[Violation]:
    """Who got a lock got it when the lease before had ended."""
    for (token, _before), (newer, exchange) in pairwise(sorted(lock.taken.items())):
        lease = lock.leases[token]
        assert exchange.answered_at is not None
        if lease.may_be_released_by(exchange.answered_at):
            continue
        if exchange.answered_at < min(lease.held_until(), right_until):
            yield Violation(LOCKED, f"{name}: token {newer} was given while {token} was held")


def _refusals(name: str, lock: Lock, right_until: float) -> Iterator[Violation]:
    """Who was refused was refused for somebody."""
    if lock.unanswered:
        return
    for refused in lock.refused:
        assert refused.answered_at is not None
        by_time = refused.answered_at < right_until
        held = any(
            exchange.asked_at <= refused.answered_at
            and lock.ended_at(token, by_time=by_time) >= refused.asked_at
            for token, exchange in lock.taken.items()
        )
        if not held:
            text = f"{refused.message['id']} was refused while nobody can have held it"
            yield Violation(LOCKED, f"{name}: {text}")


def _in_turn(name: str, steps: Sequence[Step]) -> Iterator[Violation]:
    """No write under an old token stands behind one under a newer."""
    highest = 0
    for step in steps:
        fence = _fence(step)
        assert fence is not None
        if fence[1] < highest:
            text = f"{step} under token {fence[1]} after a write under {highest}"
            yield Violation(LOCKED, f"{name}: {text}")
        highest = max(highest, fence[1])


def _by_holder(name: str, lock: Lock, step: Step) -> Iterator[Violation]:
    """A write that succeeded was under a token that was given, and not given up before."""
    fence, exchange = _fence(step), step.exchange
    assert fence is not None
    token = fence[1]
    if token not in lock.taken and not lock.unanswered:
        yield Violation(LOCKED, f"{name}: {step} under token {token}, which nobody was given")
    if lock.released.get(token, inf) < exchange.asked_at:
        yield Violation(LOCKED, f"{name}: {step} under token {token}, which was released before")
    if lock.superseded_at(token) < exchange.asked_at:
        text = f"{step} under token {token}, when a newer one had been given"
        yield Violation(LOCKED, f"{name}: {text}")


def _fence(step: Step) -> tuple[str, int] | None:
    """The fence of an operation, or of the whole batch that it stands in."""
    payload = step.exchange.message["payload"]
    fence = step.payload.get("fence") or payload.get("fence")
    return None if fence is None else (fence["lock"], fence["token"])
