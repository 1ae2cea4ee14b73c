"""The store on PostgreSQL: many processes on many machines, one lock for each collection."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Final, Self

from holdfast_backends.contract import Capabilities
from holdfast_backends.errors import UnsafeStoreError
from holdfast_backends.store import (
    Changes,
    CommitConflictError,
    EventRow,
    Head,
    IndexSlot,
    Scanned,
    Span,
)

from . import postgres_texts as texts
from .engines import postgres_engine
from .postgres_address import parse_postgres
from .postgres_errors import POSTGRES_ERRORS, translate_postgres
from .postgres_session import PostgresPool, RawConnection
from .postgres_unit import PostgresSnapshot, PostgresUnit, append_arguments, is_appendable
from .revision import check_revision, current_revision
from .statements import Statements
from .translation import outside_commit
from .turns import turn

_MAX_LOCKS: Final = 64
"""A unit of more collections than this locks everything: the server's lock table is small."""

_READERS_RESERVE: Final = 2
"""Connections that writers leave to readers, so that a queue for a lock never starves them."""

_REPLICATED: Final = ("on", "remote_apply")
"""The values of `synchronous_commit` that wait until a standby's disk has the commit, too."""


class PostgresStore:
    """A store in a PostgreSQL database that `holdfast migrate` has prepared.

    Args:
        url: `postgresql://user:password@host:port/database`, or several hosts with their ports,
            separated by commas: the one that takes writes is found for each connection.
        pool_size: connections, at most; at least 3.
        connect_timeout: seconds to connect to a server, at most; of several each has 3, at most.
        statement_timeout: seconds that the server works on a statement, at most; also how long
            to wait for a connection.
        lock_timeout: seconds to wait for other writers of the same collections, at most.
        allow_unsafe: accept a server that may lose commits in a crash (`fsync`,
            `full_page_writes` or `synchronous_commit` off); `capabilities` then says so.

    Raises:
        InvalidValueError: no such URL.
    """

    def __init__(
        self,
        url: str,
        *,
        pool_size: int = 10,
        connect_timeout: float = 5.0,
        statement_timeout: float = 30.0,
        lock_timeout: float = 10.0,
        allow_unsafe: bool = False,
    ) -> None:
        self._engine = postgres_engine(
            parse_postgres(url),
            pool_size=max(pool_size, _READERS_RESERVE + 1),
            connect_timeout=connect_timeout,
            statement_timeout=statement_timeout,
            lock_timeout=lock_timeout,
            greet=self._check_durability,
        )
        self._pool = PostgresPool(self._engine)
        self._statements = Statements(self._engine.dialect)
        self._timeout = statement_timeout
        self._writers = max(pool_size - _READERS_RESERVE, 1)
        self._writing = asyncio.Semaphore(self._writers)
        self._allow_unsafe = allow_unsafe
        self._crash_safe = False
        self._replicated = False

    @property
    def capabilities(self) -> Capabilities:
        """As `store.Store.capabilities`."""
        return Capabilities(
            durable=True,
            crash_safe=self._crash_safe,
            shared=True,
            indexes=True,
            survives_failover=self._crash_safe and self._replicated,
        )

    @asynccontextmanager
    async def read(self, *, single: bool = False) -> AsyncIterator[PostgresSnapshot]:
        """As `store.Store.read`; with `single` the caller reads only once, which costs less."""
        async with self._pool.session(None if single else texts.BEGIN_READING) as session:
            yield PostgresSnapshot(session, self._statements)

    @asynccontextmanager
    async def write(
        self, collections: Sequence[str], *, everything: bool = False
    ) -> AsyncIterator[PostgresUnit]:
        """As `store.Store.write`: units of the same collections take turns, on all machines."""
        everything = everything or len(collections) > _MAX_LOCKS
        async with (
            turn(self._writing, self._timeout),
            self._pool.session(texts.BEGIN_WRITING) as session,
        ):
            unit = PostgresUnit(session, self._statements, collections, everything=everything)
            yield unit
            if self._replicated:
                await unit.confirm()

    async def append(self, collection: str, expected: Head, prepare: Callable[[], Changes]) -> bool:
        """As `store.Store.append`: one statement, which is its own transaction."""
        if expected.slots:
            return False
        async with turn(self._writing, self._timeout), self._pool.session(None) as session:
            changes = prepare()
            reached = changes.heads.get(collection)
            if reached is None or not is_appendable(expected, reached, changes):
                return False
            arguments = append_arguments(collection, expected, reached, changes)
            try:
                answer = await session.change(texts.APPEND, arguments)
            except CommitConflictError:
                return False
        return bool(answer[0][0])

    async def scan_once(
        self, span: Span, limit: int, declared: tuple[IndexSlot, ...]
    ) -> Scanned | None:
        """As `store.Store.scan_once`."""
        async with self.read(single=True) as snapshot:
            return await snapshot.scan_declared(span, limit, declared)

    async def heads(self) -> Mapping[str, Head]:
        """As `store.Store.heads`."""
        async with self.read(single=True) as snapshot:
            return await snapshot.heads()

    async def events(self, collection: str, after: int, limit: int) -> Sequence[EventRow]:
        """As `store.Store.events`."""
        async with self.read(single=True) as snapshot:
            return await snapshot.events(collection, after, limit)

    async def unpublished(self) -> Mapping[str, int]:
        """As `store.Store.unpublished`."""
        async with self.read(single=True) as snapshot:
            return await snapshot.unpublished()

    async def mark_published(self, marks: Mapping[str, int]) -> None:
        """As `store.Store.mark_published`."""
        names = sorted(marks)  # everybody locks them in the same order
        async with self._pool.session(None) as session:
            arguments = (names, [marks[name] for name in names])
            await session.fetch(texts.MARK_PUBLISHED, arguments)

    async def forget_events(self, collection: str, upto: int, limit: int) -> int:
        """As `store.Store.forget_events`."""
        async with self._pool.session(None) as session:
            return int((await session.fetch(texts.FORGET_EVENTS, (collection, upto, limit)))[0][0])

    async def forget_replies(self, before: int, limit: int) -> int:
        """As `store.Store.forget_replies`."""
        async with self._pool.session(None) as session:
            return int((await session.fetch(texts.FORGET_REPLIES, (before, limit)))[0][0])

    async def __aenter__(self) -> Self:
        self._writing = asyncio.Semaphore(self._writers)  # anew: it belongs to this event loop
        try:
            await self._check_schema()
        except BaseException:
            await self._engine.dispose()
            raise
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._engine.dispose()

    async def _check_schema(self) -> None:
        try:
            revision = await current_revision(self._engine)
        except POSTGRES_ERRORS as error:
            raise outside_commit(translate_postgres(error)) from error
        check_revision(revision)

    async def _check_durability(self, connection: RawConnection) -> None:
        """Look at each new connection's server: it may be another one than the last."""
        *settings, waits, standbys = (await connection.fetch(texts.SETTINGS))[0]
        self._crash_safe = "off" not in (*settings, waits)
        if not self._crash_safe and not self._allow_unsafe:
            raise UnsafeStoreError(
                "the store may lose what it acknowledged: its fsync, full_page_writes or"
                " synchronous_commit is off"
            )
        # Not of one that is refused: units under way elsewhere have to wait for standbys yet.
        self._replicated = bool(standbys) and waits in _REPLICATED
