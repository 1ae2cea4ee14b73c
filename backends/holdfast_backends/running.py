"""Running operations in order against a unit's working set: each once, a transaction as one."""

from collections.abc import Sequence
from dataclasses import replace

from . import finder
from .errors import (
    ConflictError,
    DeadlineError,
    RequestCancelledError,
    StorageError,
    TooLargeError,
    UnavailableError,
)
from .identity import Identity
from .lock_operations import LOCKS, Acquire, Inspect, Release, Renew
from .locking import check_fence, run_lock
from .operations import (
    Collections,
    Count,
    Delete,
    Find,
    Get,
    Index,
    Operation,
    Save,
    Transaction,
    Update,
)
from .outcomes import (
    Batched,
    CollectionCounts,
    Counted,
    Failed,
    Found,
    IndexState,
    Leased,
    Outcome,
    Page,
    Saved,
)
from .replies import decode_outcome
from .store import (
    Snapshot,
)
from .workspace import Workspace


async def execute_all(
    operations: Sequence[Operation],
    identities: Sequence[Identity | None],
    snapshot: Snapshot,
    workspace: Workspace,
) -> list[Outcome]:
    """Execute each once: answer a known message again, remember the answer to a new one."""
    outcomes: list[Outcome] = []
    for operation, identity in zip(operations, identities, strict=True):
        if isinstance(operation, _POINT_OPERATIONS):
            outcomes.append(point_outcome(operation, identity, workspace))
            continue
        outcome = None if identity is None else _decided(operation, identity, workspace)
        if outcome is None:
            workspace.actor = identity
            outcome = await _run(operation, snapshot, workspace)
            if identity is not None:
                workspace.remember(identity, outcome)
        outcomes.append(outcome)
    return outcomes


def point_outcome(
    operation: Save | Get | Update | Delete, identity: Identity | None, workspace: Workspace
) -> Outcome:
    """Execute once on one record, which is loaded already."""
    workspace.actor = identity
    if identity is None:
        return _run_point(operation, workspace)
    outcome = _decided(operation, identity, workspace)
    if outcome is None:
        outcome = _run_point(operation, workspace)
        workspace.remember(identity, outcome)
    return outcome


def _decided(operation: Operation, identity: Identity, workspace: Workspace) -> Outcome | None:
    """What is answered without executing: the answer given before, or that it is too late;
    None when the message is to be executed now."""
    stored = workspace.stored(identity)
    if stored is not None:
        if stored.digest != identity.digest:
            reused = ConflictError("this message id was used for another message before")
            return _refused(operation, reused, workspace)
        return decode_outcome(stored.outcome, operation)
    if identity.cancelled:
        # Kept, so that it holds for whoever gets the message again.
        unwanted = RequestCancelledError("The sender cancelled it before it was committed")
        cancelled = _refused(operation, unwanted, workspace)
        workspace.remember(identity, cancelled)
        return cancelled
    if identity.deadline is not None and identity.deadline <= workspace.now:
        # Who began it in time may still be about to commit it: nobody is to be told both.
        workspace.fence(_collections_of(operation))
        return _refused(operation, DeadlineError(), workspace)
    return None


def _refused(operation: Operation, error: StorageError, workspace: Workspace) -> Failed:
    """A failure that came before the execution, but not before what was executed until now."""
    seen = sorted(_collections_of(operation))
    sequences = tuple((name, workspace.head(name).sequence) for name in seen)
    return Failed(
        error, sequence=max((number for _name, number in sequences), default=0), sequences=sequences
    )


_POINT_OPERATIONS = (Save, Get, Update, Delete)


def _run_point(operation: Save | Get | Update | Delete, workspace: Workspace) -> Outcome:
    """Execute on one record, which is loaded already."""
    if isinstance(operation, Get) or operation.fence is None:
        return _run_unfenced(operation, workspace)
    try:
        check_fence(operation.fence, workspace)
    except StorageError as error:
        sequence = workspace.head(operation.collection).sequence
        return _fenced(Failed(error, sequence=sequence), workspace)
    return _fenced(_run_unfenced(operation, workspace), workspace)


def _run_unfenced(operation: Save | Get | Update | Delete, workspace: Workspace) -> Outcome:
    try:
        match operation:
            case Save():
                return workspace.save(operation)
            case Get():
                return workspace.get(operation)
            case Update():
                return workspace.update(operation)
            case Delete():
                return workspace.delete(operation)
    except StorageError as error:
        return Failed(error, sequence=workspace.head(operation.collection).sequence)


def _fenced(outcome: Outcome, workspace: Workspace) -> Outcome:
    """An outcome that also tells at which state of the locks it came about."""
    sequence = workspace.head(LOCKS).sequence
    match outcome:
        case Saved() | Found():
            return outcome._replace(locks=sequence)
        case Failed() | Batched():
            return replace(outcome, locks=sequence)
        case _:
            return outcome


async def _run(operation: Operation, snapshot: Snapshot, workspace: Workspace) -> Outcome:
    try:
        match operation:
            case Save() | Get() | Update() | Delete():
                return _run_point(operation, workspace)
            case Find():
                page = await finder.find(operation, snapshot, workspace)
                return replace(page, sequence=workspace.head(operation.collection).sequence)
            case Count():
                count = await finder.count(operation, snapshot, workspace)
                return Counted(count, workspace.head(operation.collection).sequence)
            case Collections():
                counts = await finder.collection_counts(snapshot, workspace)
                return CollectionCounts(counts, await _sequences(snapshot, workspace))
            case Index():
                return workspace.index(operation)
            case Transaction():
                return await _transaction(operation, snapshot, workspace)
            case Acquire() | Renew() | Release() | Inspect():
                return run_lock(operation, workspace)
    except UnavailableError:
        raise
    except StorageError as error:
        return Failed(error, sequence=workspace.head(_collection_of(operation)).sequence)


async def _sequences(snapshot: Snapshot, workspace: Workspace) -> tuple[tuple[str, int], ...]:
    heads = {**await snapshot.heads(), **workspace.heads}
    return tuple((name, head.sequence) for name, head in sorted(heads.items()))


def _collections_of(operation: Operation) -> set[str]:
    inner = operation.operations if isinstance(operation, Transaction) else (operation,)
    return {_collection_of(each) for each in inner} - {""}


def _collection_of(operation: Operation) -> str:
    match operation:
        case Acquire() | Renew() | Release() | Inspect():
            return LOCKS
        case Collections() | Transaction():
            return ""
        case _:
            return operation.collection


async def _transaction(operation: Transaction, snapshot: Snapshot, workspace: Workspace) -> Outcome:
    if operation.fence is None:
        return await _run_all(operation, snapshot, workspace)
    try:
        check_fence(operation.fence, workspace)
    except StorageError as error:
        return _fenced(Failed(error), workspace)
    return _fenced(await _run_all(operation, snapshot, workspace), workspace)


async def _run_all(operation: Transaction, snapshot: Snapshot, workspace: Workspace) -> Outcome:
    workspace.begin()
    outcomes: list[Outcome] = []
    total = 2
    for index, inner in enumerate(operation.operations):
        outcome = await _run(inner, snapshot, workspace)
        if operation.atomic and isinstance(outcome, Failed):
            workspace.undo()
            return _undone(operation, outcome, index, workspace)
        total += _size(outcome)
        if operation.max_bytes is not None and total > operation.max_bytes:
            workspace.undo()
            limit = {"max_bytes": operation.max_bytes}
            error = TooLargeError("the results of this batch are too large", {**limit})
            return replace(_undone(operation, Failed(error), index, workspace), index=None)
        outcomes.append(outcome)
    workspace.keep()
    return Batched(tuple(outcomes))


def _undone(operation: Transaction, failed: Failed, index: int, workspace: Workspace) -> Failed:
    """The failure of a transaction, which depends on all that was looked at until then."""
    seen = {_collection_of(inner) for inner in operation.operations[: index + 1]} - {""}
    sequences = tuple((name, workspace.head(name).sequence) for name in sorted(seen))
    return Failed(failed.error, index, locks=failed.locks, sequences=sequences)


_ENVELOPE_BYTES = 256
"""What a result is counted for beside its documents: its status and facts."""


def _size(outcome: Outcome) -> int:
    match outcome:
        case Saved(record) | Found(record):
            return len(record.document) + _ENVELOPE_BYTES
        case Page(_records, next_cursor, size):
            return size + len(next_cursor or "") + _ENVELOPE_BYTES
        case CollectionCounts(counts):
            return 96 * len(counts) + _ENVELOPE_BYTES
        case Counted() | Failed() | IndexState() | Leased() | Batched():
            return _ENVELOPE_BYTES
