"""Connections to SQLite: taken from SQLAlchemy's pool, used raw, given back clean.

aiosqlite runs each connection's calls in order in a thread of its own. A cancelled call still
runs there; whatever it did, the rollback that follows in the same thread undoes it.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import cast

import aiosqlite
from sqlalchemy import PoolProxiedConnection
from sqlalchemy.ext.asyncio import AsyncEngine

from .snapshot import Columns
from .sqlite_errors import SQLITE_ERRORS, translate_sqlite
from .translation import outside_commit


class SqliteSession:
    """A connection in use; its transaction begins with the first statement.

    Args:
        begin: the statement that begins it; None for a single statement, which needs none.
    """

    def __init__(self, connection: aiosqlite.Connection, begin: str | None) -> None:
        self._connection = connection
        self._begin = begin

    async def fetch(self, text: str, arguments: Sequence[object]) -> Sequence[Columns]:
        """As `snapshot.Session.fetch`."""
        await self.begin()
        try:
            rows = await self._connection.execute_fetchall(text, arguments)
        except SQLITE_ERRORS as error:
            raise outside_commit(translate_sqlite(error)) from error
        return cast("list[Columns]", rows)

    async def begin(self) -> None:
        """Begin the transaction, if it has not begun yet."""
        if self._begin is None:
            return
        statement, self._begin = self._begin, None
        try:
            await self._connection.execute_fetchall(statement)
        except SQLITE_ERRORS as error:
            raise outside_commit(translate_sqlite(error)) from error

    async def change(self, text: str, rows: Iterable[Sequence[object]]) -> None:
        """Run a statement once for each row.

        Raises:
            CommitConflictError: a row is there already.
            StorageError: translated from the driver's exception.
        """
        await self.begin()
        try:
            await self._connection.executemany(text, rows)
        except SQLITE_ERRORS as error:
            raise translate_sqlite(error) from error

    async def commit(self) -> None:
        """Make the changes durable."""
        try:
            await self._connection.commit()
        except SQLITE_ERRORS as error:
            raise outside_commit(translate_sqlite(error)) from error


@asynccontextmanager
async def sqlite_session(engine: AsyncEngine, begin: str | None) -> AsyncIterator[SqliteSession]:
    """A session on a connection of the pool; what was not committed is rolled back.

    Raises:
        UnavailableError: no connection in time.
    """
    try:
        lease = await engine.raw_connection()
    except SQLITE_ERRORS as error:
        raise outside_commit(translate_sqlite(error)) from error
    connection = cast("aiosqlite.Connection", lease.driver_connection)
    try:
        yield SqliteSession(connection, begin)
    finally:
        await completed(_give_back(lease, connection))


async def _give_back(lease: PoolProxiedConnection, connection: aiosqlite.Connection) -> None:
    try:
        await connection.rollback()  # nothing to do where everything was committed
    except SQLITE_ERRORS as error:
        lease.invalidate()
        raise outside_commit(translate_sqlite(error)) from error
    lease.close()


async def completed(work: Coroutine[None, None, None]) -> None:
    """Await work that must not be left half done: a cancellation comes when it is over."""
    task = asyncio.ensure_future(work)
    cancellation: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancellation = error
    if cancellation is not None:
        raise cancellation
    await task
