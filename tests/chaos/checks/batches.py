"""How often a message took effect, and whether a batch did as a whole."""

from collections import defaultdict
from collections.abc import Iterator

from tests.chaos.checks.ledger import Ledger
from tests.chaos.checks.promises import CANCELLED, ONE_EFFECT, WHOLE_BATCH
from tests.chaos.checks.steps import WRITES, Step, is_refused_anyway
from tests.chaos.history import Violation


def whole_batches(ledger: Ledger) -> Iterator[Violation]:
    """An atomic batch has all of its changes or none, next to each other."""
    for steps in ledger.batches.values():
        writes = [step for step in steps if step.action in WRITES]
        if writes and writes[0].atomic:
            yield from _whole(ledger, writes)


def one_effect(ledger: Ledger) -> Iterator[Violation]:
    """No message has more changes than it asked for, nor any when it failed."""
    for message_id, events in ledger.events_of.items():
        exchange = ledger.by_id.get(message_id)
        if exchange is None:
            continue  # told elsewhere
        payload = exchange.message["payload"]
        operations = payload.get("operations") or [exchange.message]
        wanted = sum(operation["action"] in WRITES for operation in operations)
        told = ", ".join(event["id"] for event in events)
        if is_refused_anyway(exchange.message):
            yield Violation(ONE_EFFECT, f"{message_id} had to be refused, and made {told}")
        elif len(events) > wanted:
            yield Violation(ONE_EFFECT, f"{message_id} asked for {wanted} changes: {told}")
        elif exchange.answer is not None and exchange.answer["status"] == "error":
            said = exchange.answer["error_type"]
            promise = CANCELLED if said == "cancelled" else ONE_EFFECT
            yield Violation(promise, f"{message_id} was answered {said}, and made {told}")


def _whole(ledger: Ledger, writes: list[Step]) -> Iterator[Violation]:
    message_id = writes[0].exchange.message["id"]
    made = len(ledger.events_of.get(message_id, []))
    if made not in (0, len(writes)):
        text = f"{message_id}: {made} of {len(writes)} changes of an atomic batch are told"
        yield Violation(WHOLE_BATCH, text)
    places: dict[str, list[int]] = defaultdict(list)
    for step in writes:
        if step.succeeded:
            places[step.collection].append(step.sequence)
    for collection, found in places.items():
        if found != list(range(found[0], found[0] + len(found))):
            text = f"{message_id}: the changes of an atomic batch stand at {found} of {collection}"
            yield Violation(WHOLE_BATCH, text)
