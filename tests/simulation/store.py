"""A process's connection to the simulated database: the contract of a store, kept under faults."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Final, Self, TypeVar

from holdfast_backends.capabilities import Capabilities
from holdfast_backends.errors import UnavailableError
from holdfast_backends.store import (
    Changes,
    EventRow,
    Head,
    IndexSlot,
    Scanned,
    Snapshot,
    Span,
    Unit,
)
from tests.simulation.database import Database, immediate, reading
from tests.simulation.faults import Injected
from tests.simulation.locks import Ticket
from tests.simulation.processes import Process
from tests.simulation.units import SimulatedSnapshot, SimulatedUnit, commit_twist
from tests.simulation.wire import Wire

T = TypeVar("T")

PATIENCE: Final = 5.0
"""Virtual seconds that a store waits for its database."""


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
        process.on_death.append(self._drop)

    async def call(
        self,
        point: str,
        effect: Callable[[], T],
        *,
        twist: Callable[[Injected], Callable[[], T] | None] | None = None,
    ) -> T:
        """As `Wire.call`."""
        return await self._wire.call(point, effect, twist=twist)

    @property
    def capabilities(self) -> Capabilities:
        """As `Store.capabilities`."""
        return Capabilities(durable=True, crash_safe=True, shared=True, indexes=False)

    @asynccontextmanager
    async def read(self, *, single: bool = False) -> AsyncIterator[Snapshot]:
        """As `Store.read`."""
        del single
        yield SimulatedSnapshot(self, None)

    @asynccontextmanager
    async def write(
        self, collections: Sequence[str], *, everything: bool = False
    ) -> AsyncIterator[Unit]:
        """As `Store.write`."""
        names = None if everything else collections
        ticket = await self._lock(names) if self.database.locks else None
        unit = SimulatedUnit(self, names, ticket)
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
            return commit_twist(fault)

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
            rows = immediate(reading(core, lambda snapshot: snapshot.scan(span, limit)))
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
        return await self.call(
            "mark", lambda: immediate(core.forget_events(collection, upto, limit))
        )

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
