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
    StorageError,
    UnavailableError,
)
from .identity import Identity
from .operations import (
    Find,
    Operation,
    Save,
)
from .outcomes import UNKNOWN_SEQUENCE, Failed, Outcome
from .running import execute_all, point_outcome
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
                return [Failed(error, sequence=UNKNOWN_SEQUENCE)]
            return [(await self.execute([operation]))[0] for operation in operations]

    async def _unit(self, operations: Sequence[Operation]) -> list[Outcome]:
        if len(operations) == 1 and isinstance(operations[0], Find):
            page = await self._page_at_once(operations[0])
            if page is not None:
                return [page]
        elif all(map(_is_plain_create, operations)):
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
            outcomes = await execute_all(operations, survey.identities, snapshot, workspace)
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
        outcomes: list[Outcome] = []

        def prepare() -> Changes:
            workspace.now = self._clock()  # the store may have waited long for its turn
            outcomes.extend(point_outcome(save, save.identity, workspace) for save in saves)
            return workspace.changes()

        if not await self._store.append(collection, head, prepare):
            return None
        self._committed(workspace.changes())
        self._heads[collection] = workspace.head(collection)
        return outcomes

    def _remember_heads(self, wanted: Wanted, workspace: Workspace) -> None:
        if len(self._heads) > _MAX_HEADS:
            self._heads.clear()
        for collection in wanted.collections:
            self._heads[collection] = workspace.head(collection)


def _is_plain_create(operation: Operation) -> bool:
    """Whether nothing but the commit itself has to be asked whether it may be executed."""
    return (
        isinstance(operation, Save)
        and operation.document.get("id") is None
        and operation.fence is None
        and not _has_deadline(operation.identity)
    )


def _has_deadline(identity: Identity | None) -> bool:
    """Then a unit is needed: who is too late may have been executed before, which is to be looked
    up; and who is in time holds the lock when that is decided, or is fenced off, so that nobody
    else is told meanwhile that nothing was executed."""
    return identity is not None and identity.deadline is not None


async def _load(snapshot: Snapshot, wanted: Wanted) -> Loaded:
    if wanted.collections or wanted.rows or wanted.identities:
        return await snapshot.load(wanted)
    return Loaded({}, {}, {})
