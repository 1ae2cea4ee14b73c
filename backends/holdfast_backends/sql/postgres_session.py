"""Connections to PostgreSQL: taken from SQLAlchemy's pool, used raw, given back clean.

A connection whose state is not certain (a call was cancelled, timed out or lost its connection)
is closed, never given back: the server then rolls back whatever was open.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from typing import Final, Protocol, TypeVar, cast

from asyncpg import PostgresError
from sqlalchemy import PoolProxiedConnection
from sqlalchemy.ext.asyncio import AsyncEngine

from holdfast_backends.errors import UnavailableError, UnsafeStoreError
from holdfast_backends.store import CommitConflictError

from .postgres_errors import POSTGRES_ERRORS, is_elsewhere, translate_postgres
from .snapshot import Columns
from .translation import UNREACHABLE, outside_commit

_ATTEMPTS: Final = 100  # at least as many as a pool may hold dead connections
_BORN: Final = "holdfast_born"
_T = TypeVar("_T")


class RawConnection(Protocol):
    """What we use of `asyncpg.Connection`, which has no types of its own."""

    async def fetch(self, query: str, *args: object) -> list[Columns]: ...

    async def execute(self, query: str) -> str: ...

    def is_closed(self) -> bool: ...

    def is_in_transaction(self) -> bool: ...


class PostgresSession:
    """A connection in use; its transaction begins with the first statement.

    Args:
        begin: the statement that begins it; None for a single statement, which needs none.
    """

    def __init__(self, connection: RawConnection, begin: str | None) -> None:
        self._connection = connection
        self._begin = begin
        self.is_certain = True
        """Whether the state of the connection is known."""
        self.is_lost = False
        """Whether the server does not answer on it any more, or takes no writes any more."""

    async def fetch(self, text: str, arguments: Sequence[object]) -> Sequence[Columns]:
        """As `snapshot.Session.fetch`."""
        try:
            return await self._run(text, arguments)
        except POSTGRES_ERRORS as error:
            raise outside_commit(translate_postgres(error)) from error

    async def change(self, text: str, arguments: Sequence[object]) -> Sequence[Columns]:
        """Run a statement that changes something; its rows.

        Raises:
            CommitConflictError: a row is there already, or others were first.
            StorageError: translated from the driver's exception.
        """
        try:
            return await self._run(text, arguments)
        except POSTGRES_ERRORS as error:
            raise translate_postgres(error) from error

    async def commit(self) -> None:
        """Make the changes durable.

        Raises:
            CommitConflictError: nothing was committed.
            UnavailableError: it is unknown whether it was committed.
        """
        try:
            done = await self._call(self._connection.execute("COMMIT"))
        except POSTGRES_ERRORS as error:
            raise translate_postgres(error) from error
        if done != "COMMIT":  # an error before had already undone everything
            raise CommitConflictError

    async def rollback(self) -> None:
        """Undo what is open, if anything is and the connection still answers."""
        if not self.is_certain or not self._connection.is_in_transaction():
            return
        try:
            await self._call(self._connection.execute("ROLLBACK"))
        except POSTGRES_ERRORS as error:
            raise outside_commit(translate_postgres(error)) from error

    async def _run(self, text: str, arguments: Sequence[object]) -> Sequence[Columns]:
        if self._begin is not None:
            begin, self._begin = self._begin, None
            await self._call(self._connection.execute(begin))
        return await self._call(self._connection.fetch(text, *arguments))

    async def _call(self, call: Awaitable[_T]) -> _T:
        self.is_certain = False  # until it is over: it may be cancelled
        try:
            result = await call
        except PostgresError as error:
            self.is_lost = self._connection.is_closed() or is_elsewhere(error)
            self.is_certain = not self.is_lost
            raise
        except POSTGRES_ERRORS:
            self.is_lost = True
            raise
        self.is_certain = True
        return result


class PostgresPool:
    """Sessions on the connections of an engine's pool."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._trusted_since = 0.0  # monotonic seconds: older connections may be dead too

    @asynccontextmanager
    async def session(self, begin: str | None) -> AsyncIterator[PostgresSession]:
        """A session; what was not committed is rolled back.

        Raises:
            UnavailableError: no connection in time.
        """
        lease = await self._lease()
        session = PostgresSession(_raw(lease), begin)
        try:
            yield session
        finally:
            try:
                await session.rollback()
            finally:
                self._give_back(lease, session)

    async def _lease(self) -> PoolProxiedConnection:
        """A connection that is not known to be dead; no round trip is spent on asking it."""
        for _attempt in range(_ATTEMPTS):
            try:
                lease = await self._engine.raw_connection()
            except UnsafeStoreError as error:  # whoever took over; it was not so at the opening
                raise UnavailableError(error.message) from error
            except POSTGRES_ERRORS as error:
                raise outside_commit(translate_postgres(error)) from error
            born: float = lease.info.setdefault(_BORN, time.monotonic())
            if born >= self._trusted_since and not _raw(lease).is_closed():
                return lease
            lease.invalidate()
        raise UnavailableError(UNREACHABLE)

    def _give_back(self, lease: PoolProxiedConnection, session: PostgresSession) -> None:
        if session.is_certain and not _raw(lease).is_in_transaction():
            lease.close()
            return
        lease.invalidate()
        if session.is_lost:
            self._trusted_since = time.monotonic()


def _raw(lease: PoolProxiedConnection) -> RawConnection:
    return cast("RawConnection", lease.driver_connection)
