"""Executing operations over a store: one unit for a whole batch, every rule in one place.

The way of a batch: survey what it needs, load that, run the operations in order against a
working set, commit what became of it. When another process came between (a store's
`CommitConflictError`), nothing was committed and the unit begins again.
"""

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TypeAlias, cast

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
from .scanning import FIRST_CHUNK_ROWS, NeedsSnapshotError, SingleScan
from .store import (
    Changes,
    CommitConflictError,
    Head,
    Loaded,
    Snapshot,
    Store,
    Unit,
    Wanted,
)
from .survey import Survey, survey_of
from .workspace import Workspace

MAX_ATTEMPTS = 50
_MAX_HEADS = 10_000
"""Of how many collections the head is remembered."""

Clock: TypeAlias = Callable[[], int]
"""Gives the instant: microseconds since 1970-01-01T00:00:00Z."""


class Executor:
    """Executes operations over a store. See `contract.Backend.execute`.

    Args:
        keeps_events: whether changes go into the outbox.
        on_events: called after a commit that put something there.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        keeps_events: bool = True,
        on_events: Callable[[], None] | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._keeps_events = keeps_events
        self._on_events = on_events
        self._heads: dict[str, Head] = {}  # as last seen: only ever used with the store's check

    async def execute(self, operations: Sequence[Operation]) -> list[Outcome]:
        """An outcome for each operation, in order.

        Raises:
            UnavailableError: the store cannot be reached, or others came between for too long.
        """
        if not operations:
            return []
        try:
            return await self._unit(operations)
        except UnavailableError:
            raise
        except StorageError as error:
            # The store refused the whole unit. One operation alone answers for itself; of
            # several, each is tried by itself, so that only the one at fault fails.
            if len(operations) == 1:
                return [Failed(error)]
            return [(await self.execute([operation]))[0] for operation in operations]

    async def _unit(self, operations: Sequence[Operation]) -> list[Outcome]:
        if len(operations) == 1 and isinstance(operations[0], Find):
            page = await self._page_at_once(operations[0])
            if page is not None:
                return [page]
        elif all(map(_is_create, operations)):
            outcomes = await self._append(operations)
            if outcomes is not None:
                return outcomes
        survey = survey_of(operations)
        wanted = survey.wanted()
        for _attempt in range(MAX_ATTEMPTS):
            try:
                return await self._attempt(operations, survey, wanted)
            except CommitConflictError:
                continue
        raise UnavailableError("others keep changing the same records; try again")

    async def _attempt(
        self, operations: Sequence[Operation], survey: Survey, wanted: Wanted
    ) -> list[Outcome]:
        async with AsyncExitStack() as stack:
            unit: Unit | None = None
            if survey.writes:
                opening = self._store.write(wanted.collections, everything=survey.everything)
                unit = await stack.enter_async_context(opening)
                snapshot: Snapshot = unit
            else:
                snapshot = await stack.enter_async_context(
                    self._store.read(single=not survey.scans)
                )
            loaded = await _load(snapshot, wanted)
            workspace = self._workspace(loaded)
            outcomes = await _executed(operations, survey.identities, snapshot, workspace)
            if unit is not None and workspace.is_changed:
                changes = workspace.changes()
                await unit.commit(changes)
                self._committed(changes)
            self._remember_heads(wanted, workspace)
            return outcomes

    def _workspace(self, loaded: Loaded) -> Workspace:
        return Workspace(
            loaded,
            self._clock(),
            builds_indexes=self._store.capabilities.indexes,
            keeps_events=self._keeps_events,
        )

    def _committed(self, changes: Changes) -> None:
        if changes.events and self._on_events is not None:
            self._on_events()

    async def _page_at_once(self, find: Find) -> Outcome | None:
        """A short page by a single statement; None when it takes a snapshot after all."""
        head = self._heads.get(find.collection)
        if head is None or find.limit is None or find.limit >= FIRST_CHUNK_ROWS:
            return None
        workspace = self._workspace(Loaded({find.collection: head}, {}, {}))
        scan = SingleScan(self._store, head.slots)
        try:
            page = await finder.find(find, scan, workspace)
            return replace(page, sequence=scan.sequence)
        except NeedsSnapshotError:
            return None
        except UnavailableError:
            raise
        except StorageError as error:
            return Failed(error)

    async def _append(self, operations: Sequence[Operation]) -> list[Outcome] | None:
        """New records only, by a single statement; None when it takes a unit after all."""
        saves = cast("Sequence[Save]", operations)
        collection = saves[0].collection
        # Taken out, so that others who save meanwhile take a unit and queue.
        head = self._heads.pop(collection, None)
        if head is None or any(save.collection != collection for save in saves):
            return None
        workspace = self._workspace(Loaded({collection: head}, {}, {}))
        identities = [save.identity for save in saves]
        outcomes = [
            _point_outcome(save, identity, workspace)
            for save, identity in zip(saves, identities, strict=True)
        ]
        changes = workspace.changes()
        if not await self._store.append(collection, head, changes):
            return None
        self._committed(changes)
        self._heads[collection] = workspace.head(collection)
        return outcomes

    def _remember_heads(self, wanted: Wanted, workspace: Workspace) -> None:
        if len(self._heads) > _MAX_HEADS:
            self._heads.clear()
        for collection in wanted.collections:
            self._heads[collection] = workspace.head(collection)


def _is_create(operation: Operation) -> bool:
    return (
        isinstance(operation, Save)
        and operation.document.get("id") is None
        and operation.fence is None
    )


async def _load(snapshot: Snapshot, wanted: Wanted) -> Loaded:
    if wanted.collections or wanted.rows or wanted.identities:
        return await snapshot.load(wanted)
    return Loaded({}, {}, {})


async def _executed(
    operations: Sequence[Operation],
    identities: Sequence[Identity | None],
    snapshot: Snapshot,
    workspace: Workspace,
) -> list[Outcome]:
    """Execute each once: answer a known message again, remember the answer to a new one."""
    outcomes: list[Outcome] = []
    for operation, identity in zip(operations, identities, strict=True):
        if isinstance(operation, _POINT_OPERATIONS):
            outcomes.append(_point_outcome(operation, identity, workspace))
            continue
        outcome = None if identity is None else _decided(operation, identity, workspace)
        if outcome is None:
            workspace.actor = identity
            outcome = await _run(operation, snapshot, workspace)
            if identity is not None:
                workspace.remember(identity, outcome)
        outcomes.append(outcome)
    return outcomes


def _point_outcome(
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
            return Failed(ConflictError("this message id was used for another message before"))
        return decode_outcome(stored.outcome, operation)
    if identity.cancelled:
        # Kept, so that it holds for whoever gets the message again.
        cancelled = Failed(RequestCancelledError("The sender cancelled it before it was committed"))
        workspace.remember(identity, cancelled)
        return cancelled
    if identity.deadline is not None and identity.deadline <= workspace.now:
        return Failed(DeadlineError())
    return None


_POINT_OPERATIONS = (Save, Get, Update, Delete)


def _run_point(operation: Save | Get | Update | Delete, workspace: Workspace) -> Outcome:
    """Execute on one record, which is loaded already."""
    try:
        if not isinstance(operation, Get) and operation.fence is not None:
            check_fence(operation.fence, workspace)
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


def _collection_of(operation: Operation) -> str:
    match operation:
        case Acquire() | Renew() | Release() | Inspect():
            return LOCKS
        case Collections() | Transaction():
            return ""
        case _:
            return operation.collection


async def _transaction(operation: Transaction, snapshot: Snapshot, workspace: Workspace) -> Outcome:
    if operation.fence is not None:
        check_fence(operation.fence, workspace)
    workspace.begin()
    outcomes: list[Outcome] = []
    total = 2
    for index, inner in enumerate(operation.operations):
        outcome = await _run(inner, snapshot, workspace)
        if operation.atomic and isinstance(outcome, Failed):
            workspace.undo()
            sequence = workspace.head(_collection_of(inner)).sequence
            return Failed(outcome.error, index, sequence=sequence)
        total += _size(outcome)
        if operation.max_bytes is not None and total > operation.max_bytes:
            workspace.undo()
            limit = {"max_bytes": operation.max_bytes}
            return Failed(TooLargeError("the results of this batch are too large", {**limit}))
        outcomes.append(outcome)
    workspace.keep()
    return Batched(tuple(outcomes))


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
