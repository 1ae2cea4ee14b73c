"""Where an outcome stands in the histories of the collections that it is about."""

from collections.abc import Sequence

from holdfast_agents.base.answers import Position
from holdfast_backends.lock_operations import LOCKS
from holdfast_backends.operations import (
    Acquire,
    Collections,
    Delete,
    Index,
    Inspect,
    Operation,
    Release,
    Renew,
    Save,
    Transaction,
    Update,
)
from holdfast_backends.outcomes import (
    UNKNOWN_SEQUENCE,
    Batched,
    CollectionCounts,
    Failed,
    Found,
    IndexState,
    Outcome,
    Saved,
)

_CHANGES = (Save, Update, Delete, Acquire, Renew, Release)


def positions(operation: Operation | None, outcome: Outcome) -> Sequence[Position]:
    """The positions of an outcome; none where it depends on no collection's changes alone.

    What is only repeated stands behind its original: it holds at any time after that.
    """
    if isinstance(outcome, Failed) and outcome.sequence == UNKNOWN_SEQUENCE:
        return ()
    places = _of_collections(operation, outcome)
    match outcome:
        case (
            Saved(locks=int() as locks)
            | Found(locks=int() as locks)
            | Failed(locks=int() as locks)
            | Batched(locks=int() as locks)
        ):
            return (*places, Position(LOCKS, locks, False))
        case _:
            return places


def _of_collections(operation: Operation | None, outcome: Outcome) -> Sequence[Position]:
    match operation:
        case None | Index():
            return ()
        case Collections():
            return _of_all(outcome)
        case Transaction():
            return _of_batch(operation, outcome)
        case Acquire() | Renew() | Release() | Inspect():
            return (_position(LOCKS, operation, outcome),)
        case _:
            return (_position(operation.collection, operation, outcome),)


def _position(collection: str, operation: Operation, outcome: Outcome) -> Position:
    is_change = isinstance(operation, _CHANGES) and not isinstance(outcome, Failed)
    replayed = getattr(outcome, "replayed", False)
    return Position(collection, _sequence(outcome), is_change and not replayed)


def _of_all(outcome: Outcome) -> Sequence[Position]:
    sequences = outcome.sequences if isinstance(outcome, CollectionCounts) else ()
    return tuple(Position(name, sequence, False) for name, sequence in sequences)


def _of_batch(transaction: Transaction, outcome: Outcome) -> Sequence[Position]:
    if isinstance(outcome, Failed):
        return [Position(name, sequence, False) for name, sequence in outcome.sequences]
    if not isinstance(outcome, Batched):
        return ()
    latest: dict[str, Position] = {}
    for inner, part in zip(transaction.operations, outcome.outcomes, strict=True):
        for place in positions(inner, part):
            before = latest.get(place.collection)
            is_change = place.is_change and not outcome.replayed
            if before is not None:
                is_change = is_change or before.is_change
                place = place._replace(sequence=max(before.sequence, place.sequence))
            latest[place.collection] = place._replace(is_change=is_change)
    return tuple(latest.values())


def _sequence(outcome: Outcome) -> int:
    match outcome:
        case Batched() | CollectionCounts() | IndexState():
            return 0
        case _:
            return outcome.sequence
