"""The store on SQLite: one file, for one machine; readers never wait, writers take turns."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from sqlalchemy.ext.asyncio import AsyncEngine

from holdfast_backends.contract import Capabilities
from holdfast_backends.errors import UnavailableError, UnsafeStoreError
from holdfast_backends.store import Changes, EventRow, Head, IndexSlot, Scanned, Span

from . import sqlite_texts as texts
from .engines import is_in_memory, sqlite_engine, sqlite_url
from .migrate import migrate
from .revision import check_revision, current_revision
from .schema import metadata
from .sqlite_errors import SQLITE_ERRORS, translate_sqlite
from .sqlite_probe import check_file
from .sqlite_session import sqlite_session
from .sqlite_unit import SqliteSnapshot, SqliteUnit
from .statements import Statements
from .translation import BUSY, outside_commit
from .turns import turn

# Begun without IMMEDIATE, a transaction that reads first may find that it must not write.
_BEGIN_WRITING: Final = "BEGIN IMMEDIATE"
_BEGIN_READING: Final = "BEGIN"
_SAFE_JOURNALS: Final = frozenset({"wal", "delete", "truncate", "persist"})
_WAL_RETRY_SECONDS: Final = 0.02


class SqliteStore:
    """A store in a SQLite file, which is created where there is none yet.

    Every commit is flushed to the disk (`synchronous=FULL`). Other processes may use the file
    at the same time, on the same machine. Without a file name it lives in memory.

    Args:
        url: `sqlite:///relative.db`, `sqlite:////absolute.db`, or `sqlite://` for memory.
        readers: how many may read at the same time.
        busy_timeout: seconds to wait for others, at most, before `UnavailableError`.

    Raises:
        InvalidValueError: no such URL.
    """

    def __init__(self, url: str, *, readers: int = 4, busy_timeout: float = 10.0) -> None:
        self._url = sqlite_url(url)
        self._in_memory = is_in_memory(self._url)
        self._busy_timeout = busy_timeout
        self._engine: AsyncEngine = sqlite_engine(
            self._url, pool_size=readers + 1, busy_timeout=busy_timeout
        )
        self._statements = Statements(self._engine.dialect)
        self._readers = readers
        self._take_turns()

    @property
    def capabilities(self) -> Capabilities:
        """As `store.Store.capabilities`."""
        on_disk = not self._in_memory
        return Capabilities(durable=on_disk, crash_safe=on_disk, shared=on_disk, indexes=True)

    @asynccontextmanager
    async def read(self, *, single: bool = False) -> AsyncIterator[SqliteSnapshot]:
        """As `store.Store.read`; `single` makes no difference: one load is several statements."""
        del single
        async with self._snapshot(_BEGIN_READING) as snapshot:
            yield snapshot

    def _statement(self) -> AbstractAsyncContextManager[SqliteSnapshot]:
        """A snapshot for one statement, which is a transaction by itself; not for a load."""
        return self._snapshot(None)

    @asynccontextmanager
    async def _snapshot(self, begin: str | None) -> AsyncIterator[SqliteSnapshot]:
        async with (
            turn(self._reading, self._busy_timeout),
            sqlite_session(self._engine, begin) as session,
        ):
            yield SqliteSnapshot(session, self._statements)

    @asynccontextmanager
    async def write(
        self,
        collections: Sequence[str],  # noqa: ARG002  SQLite locks the whole file anyway
        *,
        everything: bool = False,  # noqa: ARG002
    ) -> AsyncIterator[SqliteUnit]:
        """As `store.Store.write`; a unit always keeps everybody else from writing."""
        # The coroutines of this process queue here; SQLite makes those of others poll.
        async with (
            turn(self._writing, self._busy_timeout),
            sqlite_session(self._engine, _BEGIN_WRITING) as session,
        ):
            yield SqliteUnit(session, self._statements)

    async def append(self, collection: str, expected: Head, prepare: Callable[[], Changes]) -> bool:
        """As `store.Store.append`; not worth it here: a unit has no round trips."""
        del collection, expected, prepare
        return False

    async def scan_once(
        self, span: Span, limit: int, declared: tuple[IndexSlot, ...]
    ) -> Scanned | None:
        """As `store.Store.scan_once`."""
        async with self._statement() as snapshot:
            return await snapshot.scan_declared(span, limit, declared)

    async def heads(self) -> Mapping[str, Head]:
        """As `store.Store.heads`."""
        async with self._statement() as snapshot:
            return await snapshot.heads()

    async def events(self, collection: str, after: int, limit: int) -> Sequence[EventRow]:
        """As `store.Store.events`."""
        async with self._statement() as snapshot:
            return await snapshot.events(collection, after, limit)

    async def unpublished(self) -> Mapping[str, int]:
        """As `store.Store.unpublished`."""
        async with self._statement() as snapshot:
            return await snapshot.unpublished()

    async def mark_published(self, marks: Mapping[str, int]) -> None:
        """As `store.Store.mark_published`."""
        async with (
            turn(self._writing, self._busy_timeout),
            sqlite_session(self._engine, _BEGIN_WRITING) as session,
        ):
            await session.change(texts.MARK_PUBLISHED, list(marks.items()))
            await session.commit()

    async def forget_events(self, collection: str, upto: int, limit: int) -> int:
        """As `store.Store.forget_events`."""
        return await self._forget(texts.FORGET_EVENTS, (collection, upto, limit))

    async def forget_replies(self, before: int, limit: int) -> int:
        """As `store.Store.forget_replies`."""
        return await self._forget(texts.FORGET_REPLIES, (before, limit))

    async def _forget(self, text: str, arguments: Sequence[object]) -> int:
        """Delete rows; how many were."""
        async with (
            turn(self._writing, self._busy_timeout),
            sqlite_session(self._engine, _BEGIN_WRITING) as session,
        ):
            await session.fetch(text, arguments)
            changed = await session.fetch(texts.CHANGED, ())
            await session.commit()
        return int(changed[0][0])

    def _take_turns(self) -> None:
        self._writing = asyncio.Semaphore(1)
        self._reading = asyncio.Semaphore(self._readers)  # one connection is left for the writer

    async def __aenter__(self) -> Self:
        self._take_turns()  # anew: they belong to this event loop
        try:
            if self._in_memory:
                await self._create_in_memory()
            else:
                await self._open_file()
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

    async def _create_in_memory(self) -> None:
        async with self._engine.begin() as connection:
            await connection.run_sync(metadata.create_all)

    async def _open_file(self) -> None:
        file = self._url.database or ""
        missing = await asyncio.to_thread(_is_missing, Path(file))
        await check_file(file, timeout=self._busy_timeout)
        if missing:
            await migrate(self._url.render_as_string(hide_password=False))
        try:
            revision = await current_revision(self._engine)
        except SQLITE_ERRORS as error:
            raise outside_commit(translate_sqlite(error)) from error
        check_revision(revision)
        await self._enter_wal()

    async def _enter_wal(self) -> None:
        """Have readers and the writer not wait for each other, where the file system allows."""
        try:
            async with asyncio.timeout(self._busy_timeout):
                mode = await self._journal_mode()
        except TimeoutError as error:
            raise UnavailableError(BUSY) from error
        if mode not in _SAFE_JOURNALS:
            raise UnsafeStoreError("the store's journal is off: it may lose what it acknowledged")

    async def _journal_mode(self) -> str:
        while True:
            try:
                async with sqlite_session(self._engine, None) as session:
                    return str((await session.fetch("PRAGMA journal_mode=WAL", ()))[0][0])
            except UnavailableError:  # while another process opens the file, SQLite won't wait
                await asyncio.sleep(_WAL_RETRY_SECONDS)


def _is_missing(file: Path) -> bool:
    """Whether there is no database yet: no file, or one that holds nothing."""
    return not file.exists() or file.stat().st_size == 0
