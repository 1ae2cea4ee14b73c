"""All checks of a history, put together."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

from tests.chaos.checks.answers import answered, earned, same_answer
from tests.chaos.checks.batches import one_effect, whole_batches
from tests.chaos.checks.events import events, heard, published
from tests.chaos.checks.ledger import Ledger
from tests.chaos.checks.locks import locks
from tests.chaos.checks.pages import Pages
from tests.chaos.checks.reads import gets
from tests.chaos.checks.refusals import refusals
from tests.chaos.checks.remains import lost, remains
from tests.chaos.checks.replay import Replay
from tests.chaos.checks.sequences import real_time, sequences
from tests.chaos.history import History, Violation

_MOST: Final = 20
"""Violations that are told of each promise: one defect breaks it for thousands of messages."""

_OF_ALL: Final[tuple[Callable[[Ledger], Iterator[Violation]], ...]] = (
    answered,
    same_answer,
    earned,
    one_effect,
    whole_batches,
    sequences,
    real_time,
    locks,
)
_OF_A_COLLECTION: Final[tuple[Callable[[Replay], Iterator[Violation]], ...]] = (
    gets,
    remains,
    lost,
    events,
    heard,
    published,
)


def check(history: History) -> list[Violation]:
    """Where a history breaks a promise; the first of each promise, and not all that follow.

    Raises ValueError where it cannot tell: answers about a collection that was not read.
    """
    counts: Counter[str] = Counter()
    found: list[Violation] = []
    ledger = Ledger(history)
    if ledger.unknown:
        raise ValueError(f"{ledger.unknown[0]}: {ledger.unknown[0].collection} was not read")
    for violation in _violations(ledger):
        counts[violation.promise] += 1
        if counts[violation.promise] <= _MOST:
            found.append(violation)
    return found


def _violations(ledger: Ledger) -> Iterator[Violation]:
    for check_all in _OF_ALL:
        yield from check_all(ledger)
    for book in ledger.books.values():
        replay = Replay(book)
        yield from replay.run(ledger, Pages(book).at)
        yield from refusals(ledger, replay)
        for check_one in _OF_A_COLLECTION:
            yield from check_one(replay)
