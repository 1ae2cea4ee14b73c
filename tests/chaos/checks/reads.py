"""What was read of a record is what it was after the change that the answer names."""

from collections.abc import Iterator

from tests.chaos.checks.promises import LINEARIZABLE
from tests.chaos.checks.replay import Replay
from tests.chaos.checks.rules import same
from tests.chaos.checks.steps import Step
from tests.chaos.history import Violation


def gets(replay: Replay) -> Iterator[Violation]:
    """Documents and versions of single reads."""
    for sequence, steps in replay.book.reads.items():
        for step in steps:
            if step.action == "storage_get":
                yield from _get(replay, sequence, step)


def _get(replay: Replay, sequence: int, step: Step) -> Iterator[Violation]:
    assert step.outcome is not None and step.record_id is not None
    state = replay.at(step.record_id, sequence)
    version = step.outcome["meta"]["version"]
    if not same(step.outcome["result"], state.document) or version != state.version:
        read = f"{step.outcome['result']} at version {version}"
        text = f"{step} read {read} after {replay.book.name}/{sequence}; it was {state}"
        yield Violation(LINEARIZABLE, text)
