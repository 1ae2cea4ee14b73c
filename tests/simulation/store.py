"""The database that all simulated processes meet at, and a process's connection to it.

What is kept and how is the in-memory store's; what is simulated is what makes it a database: it
outlives processes, several use it at once, units lock what they change (or notice at the commit
that somebody came between), and any call may fail before or after its effect.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from holdfast_backends.capabilities import Capabilities
from holdfast_backends.errors import StorageError, UnavailableError
from holdfast_backends.memory import MemoryStore
from holdfast_backends.store import (
    Changes,
    CommitConflictError,
    EventRow,
    Head,
    IndexSlot,
    Loaded,
    Row,
    Scanned,
    Snapshot,
    Span,
    Unit,
    Wanted,
)
from tests.simulation.faults import Injected
from tests.simulation.locks import LockTable, Ticket
from tests.simulation.processes import Process
from tests.simulation.wire import SLOW_SECONDS, Wire
from tests.simulation.world import World

T = TypeVar("T")

PATIENCE: Final = 5.0
"""Virtual seconds that a store waits for its database."""


class Core(MemoryStore):
    """What the database keeps."""

    def copy(self) -> "Core":
        """The same state, which does not change any more."""
        copy = Core()
        copy._collections = {
            name: replace(
                rows,
                rows=dict(rows.rows),
                live_keys=list(rows.live_keys),
                expiring=set(rows.expiring),
            )
            for name, rows in self._collections.items()
        }
        copy._heads = dict(self._heads)
        copy._replies = self._replies  # only ever looked up by units, which see the present
        return copy

    def knows_any(self, changes: Changes) -> bool:
        """Whether a reply of these changes is kept already."""
        return any(identity in self._replies for identity in changes.replies)

    def head(self, collection: str) -> Head:
        """The collection's head."""
        return self._heads.get(collection, Head())


class Database:
    """The database.

    Attributes:
        away_until: until when nobody reaches it.
        locks: whether units lock their collections; else the commit compares.
    """

    def __init__(self, world: World, *, locks: bool) -> None:
        self.world = world
        self.core = Core()
        self.locks = locks
        self.table = LockTable()
        self.away_until = 0.0
        self.revisions: dict[str, int] = {}
        self.revision = 0

    def go_away(self, seconds: float) -> None:
        """Nobody reaches it for a while; what was committed stays."""
        self.world.tell(f"the database is away: {seconds:.3f} s")
        self.away_until = self.world.now + seconds

    def commit(self, changes: Changes) -> None:
        """Apply it. Raises CommitConflictError where an identity is kept already."""
        if self.core.knows_any(changes):
            raise CommitConflictError
        self.core.commit(changes)
        self.revision += 1
        for name in (*changes.heads, *(name for name, _ in changes.rows)):
            self.revisions[name] = self.revision
        if self.world.is_traced:
            rows = [(name, key.hex(), one.row.version) for (name, key), one in changes.rows.items()]
            self.world.tell(f"committed {rows} {[key[1] for key in changes.replies]}")


class _Snapshot:
    """One state of the database, read in several calls.

    With locks it is a copy, as multi-version databases give one, or what the own locks protect;
    without, each read looks whether what was read before still holds.
    """

    def __init__(self, store: "SimulatedStore", names: Sequence[str] | None) -> None:
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
            return immediate(_reading(self._core, read))

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


class _Unit(_Snapshot):
    """A unit, with its locks where there are any."""

    def __init__(
        self, store: "SimulatedStore", names: Sequence[str] | None, ticket: Ticket | None
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
            return _commit_twist(fault)

        await self._store.call("commit", effect, twist=twisted)

    def _commit_late(self, effect: Callable[[], None], seconds: float) -> None:
        """The connection is lost, and the commit takes place all the same, later."""
        self.is_late = True
        if self._ticket is not None:
            self._store.let_go(self._ticket)

        def act() -> None:
            try:
                effect()
            except CommitConflictError:
                pass
            if self._ticket is not None:
                self._database.table.release(self._ticket)

        self._database.world.later(seconds, act)


class SimulatedStore:
    """One process's connection, as `Store`."""

    def __init__(self, database: Database, process: Process) -> None:
        self.database = database
        self._process = process
        self._tickets: list[Ticket] = []
        self._wire = Wire(
            database.world,
            process,
            lambda why: UnavailableError(f"the database did not answer: {why}"),
            lambda: database.away_until,
            PATIENCE,
        )
        self.call = self._wire.call
        process.on_death.append(self._drop)

    @property
    def capabilities(self) -> Capabilities:
        """As `Store.capabilities`."""
        return Capabilities(durable=True, crash_safe=True, shared=True, indexes=False)

    @asynccontextmanager
    async def read(self, *, single: bool = False) -> AsyncIterator[Snapshot]:
        """As `Store.read`."""
        del single
        yield _Snapshot(self, None)

    @asynccontextmanager
    async def write(
        self, collections: Sequence[str], *, everything: bool = False
    ) -> AsyncIterator[Unit]:
        """As `Store.write`."""
        names = None if everything else collections
        ticket = await self._lock(names) if self.database.locks else None
        unit = _Unit(self, names, ticket)
        try:
            yield unit
        finally:
            if ticket is not None and not unit.is_late:
                self._release(ticket)

    async def _lock(self, names: Sequence[str] | None) -> Ticket:
        table = self.database.table
        ticket = Ticket(names, self.database.world.loop.create_future())
        self._tickets.append(ticket)
        try:
            await self.call("begin", lambda: table.ask(ticket))
            async with asyncio.timeout(PATIENCE):
                await ticket.granted
        except BaseException as error:
            self._release(ticket)
            if isinstance(error, TimeoutError):
                raise UnavailableError("the database did not answer: locked") from error
            raise
        return ticket

    def let_go(self, ticket: Ticket) -> None:
        """It is not this process's any more: the database releases it by itself."""
        if ticket in self._tickets:
            self._tickets.remove(ticket)

    def _release(self, ticket: Ticket) -> None:
        self.let_go(ticket)
        self.database.table.release(ticket)

    async def append(self, collection: str, expected: Head, prepare: Callable[[], Changes]) -> bool:
        """As `Store.append`; only where units lock."""
        database = self.database
        if not database.locks:
            return False
        await self.call("begin", lambda: None)
        changes = prepare()

        def effect() -> bool:
            if database.table.is_taken(collection) or database.core.head(collection) != expected:
                return False
            if database.core.knows_any(changes):
                return False
            database.commit(changes)
            return True

        def twisted(fault: Injected) -> Callable[[], bool] | None:
            if fault.kind in ("conflict", "late"):
                return lambda: False
            return _commit_twist(fault)

        return await self.call("commit", effect, twist=twisted)

    async def scan_once(
        self, span: Span, limit: int, declared: tuple[IndexSlot, ...]
    ) -> Scanned | None:
        """As `Store.scan_once`."""
        core = self.database.core

        def effect() -> Scanned | None:
            head = core.head(span.collection)
            if head.slots != declared:
                return None
            rows = immediate(_reading(core, lambda snapshot: snapshot.scan(span, limit)))
            return Scanned(rows, head.sequence)

        return await self.call("read", effect)

    async def heads(self) -> Mapping[str, Head]:
        """As `Store.heads`."""
        return await self.call("read", self.database.core.all_heads)

    async def events(self, collection: str, after: int, limit: int) -> Sequence[EventRow]:
        """As `Store.events`."""
        core = self.database.core
        return await self.call("read", lambda: immediate(core.events(collection, after, limit)))

    async def unpublished(self) -> Mapping[str, int]:
        """As `Store.unpublished`."""
        return await self.call("read", lambda: immediate(self.database.core.unpublished()))

    async def mark_published(self, marks: Mapping[str, int]) -> None:
        """As `Store.mark_published`."""
        core = self.database.core
        await self.call("mark", lambda: immediate(core.mark_published(marks)))

    async def forget_events(self, collection: str, upto: int, limit: int) -> int:
        """As `Store.forget_events`."""
        core = self.database.core
        return await self.call("mark", lambda: immediate(core.forget_events(collection, upto, limit)))

    async def forget_replies(self, before: int, limit: int) -> int:
        """As `Store.forget_replies`."""
        core = self.database.core
        return await self.call("mark", lambda: immediate(core.forget_replies(before, limit)))

    def _drop(self) -> None:
        """The database notices that the process is gone: its locks are released."""
        for ticket in self._tickets:
            self.database.table.release(ticket)
        self._tickets.clear()

    async def __aenter__(self) -> Self:
        await self.call("open", lambda: None)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._drop()


def immediate(work: Coroutine[Any, Any, T]) -> T:
    """The result of what never waits."""
    try:
        work.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    raise RuntimeError("it waited")


async def _reading(core: Core, read: Callable[[Snapshot], Coroutine[Any, Any, T]]) -> T:
    async with core.read() as snapshot:
        return await read(snapshot)


def _commit_twist(fault: Injected) -> Callable[[], Any] | None:
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
