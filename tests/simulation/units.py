"""Snapshots and units of the simulated database, read and committed in calls that may fail."""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from holdfast_backends.errors import StorageError
from holdfast_backends.store import (
    Changes,
    CommitConflictError,
    Head,
    Loaded,
    Row,
    Snapshot,
    Span,
    Wanted,
)
from tests.simulation.database import Core, Database, immediate, reading
from tests.simulation.faults import Injected
from tests.simulation.locks import Ticket
from tests.simulation.wire import SLOW_SECONDS

T = TypeVar("T")


class Connection(Protocol):
    """What a unit needs of its process's connection."""

    database: Database

    async def call(
        self,
        point: str,
        effect: Callable[[], T],
        *,
        twist: Callable[[Injected], Callable[[], T] | None] | None = None,
    ) -> T:
        """As `Wire.call`."""
        ...

    def let_go(self, ticket: Ticket) -> None:
        """It is not this process's any more: the database releases it by itself."""
        ...


class SimulatedSnapshot:
    """One state of the database, read in several calls.

    With locks it is a copy, as multi-version databases give one, or what the own locks protect;
    without, each read looks whether what was read before still holds.
    """

    def __init__(self, store: Connection, names: Sequence[str] | None) -> None:
        self._store = store
        self._database = store.database
        self._names = names
        self._frozen: Core | None = None
        self._since: int | None = None

    @property
    def _core(self) -> Core:
        return self._database.core if self._frozen is None else self._frozen

    def _look(self) -> None:
        """Begin the snapshot, or see whether it still holds."""
        database = self._database
        if database.locks:
            if self._names is None and self._frozen is None:
                self._frozen = database.core.copy()
            return
        if self._since is None:
            self._since = database.revision
        elif self.is_disturbed():
            raise CommitConflictError

    def is_disturbed(self) -> bool:
        """Whether somebody else changed what was read."""
        if self._since is None:
            return False
        revisions = self._database.revisions
        names = revisions if self._names is None else self._names
        return any(revisions.get(name, 0) > self._since for name in names)

    async def _read(self, read: Callable[[Snapshot], Coroutine[Any, Any, T]]) -> T:
        def effect() -> T:
            self._look()
            return immediate(reading(self._core, read))

        return await self._store.call("read", effect)

    async def load(self, wanted: Wanted) -> Loaded:
        return await self._read(lambda core: core.load(wanted))

    async def heads(self) -> Mapping[str, Head]:
        return await self._read(lambda core: core.heads())

    async def scan(self, span: Span, limit: int) -> Sequence[Row]:
        return await self._read(lambda core: core.scan(span, limit))

    async def count(self, collection: str, now: int) -> int:
        return await self._read(lambda core: core.count(collection, now))

    async def counts(self, now: int) -> Mapping[str, int]:
        return await self._read(lambda core: core.counts(now))

    async def expired(self, now: int, limit: int) -> Sequence[tuple[str, Row]]:
        return await self._read(lambda core: core.expired(now, limit))


class SimulatedUnit(SimulatedSnapshot):
    """A unit, with its locks where there are any."""

    def __init__(
        self, store: Connection, names: Sequence[str] | None, ticket: Ticket | None
    ) -> None:
        super().__init__(store, names)
        self._ticket = ticket
        self.is_late = False

    def _look(self) -> None:
        if not self._database.locks:
            super()._look()

    async def commit(self, changes: Changes) -> None:
        def effect() -> None:
            if self._ticket is not None and not self._ticket.is_held:
                return  # who held the locks is gone: the database has undone it
            if not self._database.locks and self.is_disturbed():
                raise CommitConflictError
            self._database.commit(changes)

        def twisted(fault: Injected) -> Callable[[], None] | None:
            if fault.kind == "late":
                return lambda: self._commit_late(effect, SLOW_SECONDS * fault.amount)
            return commit_twist(fault)

        await self._store.call("commit", effect, twist=twisted)

    def _commit_late(self, effect: Callable[[], None], seconds: float) -> None:
        """The connection is lost, and the commit takes place all the same, later."""
        self.is_late = True
        if self._ticket is not None:
            self._store.let_go(self._ticket)

        def act() -> None:
            with suppress(CommitConflictError):
                effect()
            if self._ticket is not None:
                self._database.table.release(self._ticket)

        self._database.world.later(seconds, act)


def commit_twist(fault: Injected) -> Callable[[], Any] | None:
    """What a commit does in place of its effect."""
    if fault.kind == "conflict":
        return _raise(CommitConflictError())
    if fault.kind == "refused":
        return _raise(StorageError("the database refused it"))
    return None


def _raise(error: Exception) -> Callable[[], Any]:
    def act() -> None:
        raise error

    return act
