"""An error that was answered was right at some moment between question and answer."""

from collections.abc import Iterator, Sequence

from tests.chaos.checks.ledger import Ledger
from tests.chaos.checks.promises import LINEARIZABLE
from tests.chaos.checks.replay import Replay
from tests.chaos.checks.rules import RefusedError, State, applied, readable
from tests.chaos.checks.steps import WRITES, Step, is_refused_anyway
from tests.chaos.history import Violation

_BY_STATE = frozenset({"not_found", "conflict", "validation_error"})
_FIELDS = frozenset(
    ("collection", "task", "task_id", "if_version", "fence", "changes", "increment", "append")
)


def refusals(ledger: Ledger, replay: Replay) -> Iterator[Violation]:
    """Errors that depend on a record; others say nothing of the store."""
    for step in replay.book.refused:
        assert step.outcome is not None
        if step.outcome["error_type"] not in _BY_STATE or "lock" in step.outcome["details"]:
            continue
        if not step.payload.keys() <= _FIELDS:
            continue  # refused for what it says, whatever the store holds
        if _is_invalid(step):
            continue
        if not any(_is_right(step, state) for state in _states(ledger, replay, step)):
            told = (step.outcome["error_type"], step.outcome["details"])
            states = [str(state) for state in _states(ledger, replay, step)]
            text = f"{replay.book.name} {step}: {told} was never right: {states}"
            yield Violation(LINEARIZABLE, text)


def _is_invalid(step: Step) -> bool:
    """Whether the message was sent to be refused. It has an answer when the broker's confirm was
    lost, and it was asked again like others."""
    assert step.outcome is not None
    is_invalid = step.outcome["error_type"] == "validation_error"
    return is_invalid and is_refused_anyway(step.exchange.message)


def _states(ledger: Ledger, replay: Replay, step: Step) -> Iterator[State]:
    """What the record can have been when this was decided."""
    exchange = step.exchange
    if step.record_id is None:
        return
    assert exchange.answered_at is not None
    first, last = replay.book.timeline.window(exchange.asked_at, exchange.answered_at)
    others = ledger.batches.get(exchange.message["id"], ())
    before, after = _neighbours(others, step)
    told_before = [other.sequence for other in before if other.succeeded]
    told_after = [_last_before(other) for other in after if other.succeeded]
    states = replay.between(step.record_id, max([first, *told_before]), min([last, *told_after]))
    if not step.atomic:
        yield from states
        return
    for state in states:
        try:
            yield _through(before, state, step.record_id)
        except RefusedError:
            continue  # the batch would have failed there already


def _last_before(step: Step) -> int:
    """The last change that can have been there before an operation."""
    return step.sequence - 1 if step.action in WRITES else step.sequence


def _neighbours(others: Sequence[Step], step: Step) -> tuple[list[Step], list[Step]]:
    """What the same batch does in the same collection before and after."""
    same = [other for other in others if other.collection == step.collection]
    place = step.place or 0
    before = [other for other in same if other.place is not None and other.place < place]
    after = [other for other in same if other.place is not None and other.place > place]
    return before, after


def _through(before: list[Step], state: State, record_id: int | str) -> State:
    """The record after what the batch did to it. Raises RefusedError."""
    for step in before:
        if step.record_id == record_id and step.action in WRITES:
            state = applied(step, state, record_id)
        elif step.record_id == record_id:
            readable(state)
    return state


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
