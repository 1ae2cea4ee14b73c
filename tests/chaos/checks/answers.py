"""Everything is answered, and whatever comes again is answered the same."""

from collections.abc import Iterator
from typing import Final

from tests.chaos.checks.defects import DEFECT
from tests.chaos.checks.ledger import Ledger
from tests.chaos.checks.promises import ANSWERED, LINEARIZABLE, SAME_ANSWER, SANE
from tests.chaos.checks.steps import READS, is_refused_anyway
from tests.chaos.history import Answer, Exchange, Violation

_OF_A_RECORD: Final = frozenset({"not_found", "conflict", "validation_error"})
_EARNED: Final = _OF_A_RECORD | {"cancelled"}
"""What messages that are asked as the contract has it can be answered for good."""
_REFUSED: Final = frozenset({"validation_error", "unknown_action"})


def answered(ledger: Ledger) -> Iterator[Violation]:
    """Each message has an answer or is a dead letter, and none waits any more."""
    history = ledger.history
    for exchange in history.exchanges:
        message_id = exchange.message["id"]
        reason = history.dead_letters.get(message_id)
        is_silent = exchange.expects == "effect"
        if is_silent and reason in _REFUSED and not is_refused_anyway(exchange.message):
            yield Violation(ANSWERED, f"{message_id} is a dead letter for nothing: {reason}")
        if reason == DEFECT:
            yield Violation(SANE, f"{message_id} is a dead letter: {reason}")
        if exchange.answer is not None or reason is not None:
            continue
        if exchange.expects == "effect":
            if message_id not in ledger.events_of:
                yield Violation(ANSWERED, f"{message_id} was taken by the broker, and is lost")
        else:
            yield Violation(ANSWERED, f"{message_id} {exchange.message['action']}: nothing came")
    if history.left_in_queues:
        yield Violation(ANSWERED, f"{history.left_in_queues} messages are left in the queue")


def same_answer(ledger: Ledger) -> Iterator[Violation]:
    """No message has two answers, or the answer to another one."""
    for exchange in ledger.history.exchanges:
        for other in exchange.contradictions:
            text = f"{exchange.message['id']}: {exchange.answer} and then {other}"
            yield Violation(SAME_ANSWER, text)


def earned(ledger: Ledger) -> Iterator[Violation]:
    """Nobody is refused for what he did not do: each of these errors would look like an answer."""
    for exchange in ledger.history.exchanges:
        answer = exchange.answer
        if answer is None or answer["status"] == "success" or is_refused_anyway(exchange.message):
            continue
        if not _is_earned(exchange, answer):
            said = f"{answer['error_type']} {answer['details']}"
            text = f"{exchange.message['id']} {exchange.message['action']}: refused as {said}"
            yield Violation(LINEARIZABLE, text)
    for book in ledger.books.values():
        for step in book.refused:
            assert step.outcome is not None
            if step.place is not None and step.outcome["error_type"] not in _EARNED:
                text = f"{book.name} {step}: refused as {step.outcome['error_type']}"
                yield Violation(LINEARIZABLE, text)


def _is_earned(exchange: Exchange, answer: Answer) -> bool:
    """Whether such a message can be told such an error at all; when it is right, others judge."""
    action: str = exchange.message["action"]
    error_type: str = answer["error_type"]
    if error_type not in _EARNED:
        return False
    if error_type == "cancelled":
        return exchange.cancel_asked
    if action in READS - {"storage_get"}:
        return False  # pages, and there is always one
    if action == "storage_batch" and error_type in _OF_A_RECORD:
        return not answer["details"].keys().isdisjoint({"index", "lock"})  # to judge it by
    return True
