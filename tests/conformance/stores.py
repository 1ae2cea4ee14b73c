"""A clean store of each backend for one test, and cheap: servers and schemas are prepared once."""

import asyncio
import itertools
import shutil
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import pytest
from redis.asyncio import Redis

from holdfast_backends import InMemoryBackend, PostgresBackend, RedisBackend, SqliteBackend
from holdfast_backends.testing.harness import AnyBackend, Clock, ManualClock, OpenBackend

BACKENDS = [
    pytest.param("memory"),
    pytest.param("sqlite"),
    pytest.param("postgres", marks=pytest.mark.postgres),
    pytest.param("redis", marks=pytest.mark.redis),
]
DURABLE = BACKENDS[1:]

_TABLES = (
    "holdfast_records",
    "holdfast_messages",
    "holdfast_collections",
    "holdfast_events",
    "holdfast_published",
)
_WHOLE_STORE = "SELECT pg_advisory_xact_lock(1752132709, 0)"
"""The lock of a unit that holds everything: an index of the last test may still be built, and
what such a unit has read is written back."""
_numbers = itertools.count(1)


@dataclass
class LentClock:
    """A clock that asks the clock of the test that runs."""

    asked: Clock = field(default_factory=ManualClock)

    def __call__(self) -> int:
        return self.asked()


@dataclass(frozen=True)
class LentBackend:
    """A backend that stays open and is lent to one test after the other, emptied before each."""

    backend: AnyBackend
    clock: LentClock
    empty: Callable[[], Awaitable[None]]

    @asynccontextmanager
    async def lend(self, clock: Clock) -> AsyncIterator[AnyBackend]:
        """The backend, for one test."""
        await self.empty()
        self.clock.asked = clock
        yield self.backend


@asynccontextmanager
async def lent_sqlite(file: Path) -> AsyncIterator[LentBackend]:
    """The backend of a migrated file."""
    clock = LentClock()
    async with SqliteBackend(f"sqlite:///{file}", clock=clock) as backend:

        async def empty() -> None:
            # In a thread: an index of the last test may still be built, and must come to its end.
            await asyncio.to_thread(_empty_file, file)

        yield LentBackend(backend, clock, empty)


def _empty_file(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        for table in _TABLES:
            connection.execute(f"DELETE FROM {table}")


@asynccontextmanager
async def lent_postgres(url: str) -> AsyncIterator[LentBackend]:
    """The backend of a migrated database."""
    clock = LentClock()
    connection = await asyncpg.connect(url)
    async with PostgresBackend(url, clock=clock) as backend:

        async def empty() -> None:
            # Not TRUNCATE: it makes new files for every index, and takes a hundred times as long.
            deletions = [f"DELETE FROM {table}" for table in _TABLES]
            await connection.execute(";".join([_WHOLE_STORE, *deletions]))

        yield LentBackend(backend, clock, empty)
    await connection.close()


def memory_store() -> OpenBackend:
    """A store in memory: the same one at each opening."""
    opened: list[InMemoryBackend] = []

    def open_backend(clock: Clock) -> AbstractAsyncContextManager[AnyBackend]:
        if not opened:
            opened.append(InMemoryBackend(clock=clock))
        return opened[0]

    return open_backend


def sqlite_store(template: Path, folder: Path) -> OpenBackend:
    """A store in a file of its own: a copy of a migrated file that holds nothing."""
    file = folder / f"{next(_numbers)}.db"
    shutil.copyfile(template, file)
    return lambda clock: SqliteBackend(f"sqlite:///{file}", clock=clock)


def postgres_store(url: str) -> OpenBackend:
    """The store in a migrated database that holds nothing."""
    return lambda clock: PostgresBackend(url, clock=clock)


def redis_store(url: str, namespace: str) -> OpenBackend:
    """A store under a prefix of its own."""
    own = f"{namespace}:{next(_numbers)}"
    return lambda clock: RedisBackend(url, namespace=own, clock=clock)


async def forget_redis_keys(url: str, namespace: str) -> None:
    """Remove the keys of all stores below a namespace: thousands, hence many at once."""
    async with Redis.from_url(url) as redis:
        keys = [key async for key in redis.scan_iter(match=f"*{namespace}*", count=10_000)]
        for start in range(0, len(keys), 1_000):
            await redis.unlink(*keys[start : start + 1_000])
