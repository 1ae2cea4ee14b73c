"""An error that was answered was right at some moment between question and answer."""

from collections.abc import Iterator

from tests.chaos.checks.promises import LINEARIZABLE
from tests.chaos.checks.replay import Replay
from tests.chaos.checks.rules import RefusedError, State, applied, readable
from tests.chaos.checks.steps import WRITES, Step
from tests.chaos.history import Violation

_BY_STATE = frozenset({"not_found", "conflict", "validation_error"})


def refusals(replay: Replay) -> Iterator[Violation]:
    """Errors that depend on a record; others say nothing of the store."""
    for step in replay.book.refused:
        assert step.outcome is not None
        if step.outcome["error_type"] not in _BY_STATE or "lock" in step.outcome["details"]:
            continue
        if not any(_is_right(step, state) for state in _states(replay, step)):
            told = (step.outcome["error_type"], step.outcome["details"])
            states = list(_states(replay, step))
            text = f"{replay.book.name} {step}: {told} was never right: {states}"
            yield Violation(LINEARIZABLE, text)


def _states(replay: Replay, step: Step) -> list[State]:
    """What the record can have been when this was decided."""
    exchange = step.exchange
    if step.record_id is None:
        return []
    assert exchange.answered_at is not None
    first, last = replay.book.timeline.window(exchange.asked_at, exchange.answered_at)
    return replay.between(step.record_id, first, last)


def _is_right(step: Step, state: State) -> bool:
    assert step.outcome is not None and step.record_id is not None
    try:
        if step.action in WRITES:
            applied(step, state, step.record_id)
        else:
            readable(state)
    except RefusedError as error:
        told = step.outcome["details"].get("current_version")
        return (error.error_type, error.current_version) == (step.outcome["error_type"], told)
    return False
