"""Everything is answered, and whatever comes again is answered the same."""

from collections.abc import Iterator

from tests.chaos.checks.ledger import Ledger
from tests.chaos.checks.promises import ANSWERED, SAME_ANSWER
from tests.chaos.history import Violation


def answered(ledger: Ledger) -> Iterator[Violation]:
    """Each message has an answer or is a dead letter, and none waits any more."""
    history = ledger.history
    for exchange in history.exchanges:
        message_id = exchange.message["id"]
        if exchange.answer is not None or message_id in history.dead_letters:
            continue
        if exchange.expects == "effect":
            if message_id not in ledger.events_of:
                yield Violation(ANSWERED, f"{message_id} was taken by the broker, and is lost")
        else:
            yield Violation(ANSWERED, f"{message_id} {exchange.message['action']}: nothing came")
    if history.left_in_queues:
        yield Violation(ANSWERED, f"{history.left_in_queues} messages are left in the queue")


def same_answer(ledger: Ledger) -> Iterator[Violation]:
    """No message has two answers."""
    for exchange in ledger.history.exchanges:
        for other in exchange.contradictions:
            text = f"{exchange.message['id']}: {exchange.answer} and then {other}"
            yield Violation(SAME_ANSWER, text)
