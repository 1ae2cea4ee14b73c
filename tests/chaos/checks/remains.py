"""What is left in the end is what the changes made."""

from collections.abc import Iterator

from tests.chaos.checks.promises import KEPT
from tests.chaos.checks.replay import Replay
from tests.chaos.checks.rules import NOTHING, same
from tests.chaos.history import Violation


def remains(replay: Replay) -> Iterator[Violation]:
    """Every record with its document and version, and no other."""
    kept = replay.book.kept
    for record_id, state in replay.states.items():
        where = f"{replay.book.name} {record_id!r}"
        if state.document is None:
            if record_id in kept.records:
                yield Violation(KEPT, f"{where} was deleted, and is there: {state}")
        elif record_id not in kept.records:
            yield Violation(KEPT, f"{where} is gone: {state}")
        elif kept.versions.get(record_id) != state.version:
            text = f"{where} is at version {kept.versions.get(record_id)}; it was at {state}"
            yield Violation(KEPT, text)
        elif not same(kept.records[record_id], state.document):
            yield Violation(KEPT, f"{where} is {kept.records[record_id]}; it was {state}")
    for record_id in kept.records:
        if replay.states.get(record_id, NOTHING) is NOTHING:
            yield Violation(KEPT, f"{replay.book.name} {record_id!r} was written by nobody")


def lost(replay: Replay) -> Iterator[Violation]:
    """Each success stands in the events under its sequence, as its own."""
    book = replay.book
    for sequence, steps in book.told.items():
        event = book.events.get(sequence)
        for step in steps:
            if event is not None and event["message_id"] != step.exchange.message["id"]:
                text = f"{step}: another message's change stands there, {event['message_id']}"
                yield Violation(KEPT, f"{book.name}/{sequence} {text}")
