"""A clean store of each backend for one test, and cheap: servers and schemas are prepared once."""

import itertools
import shutil
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from holdfast_backends import (
    InMemoryBackend,
    PostgresBackend,
    RedisBackend,
    SqliteBackend,
)
from holdfast_backends.sql.migrate import migrate
from holdfast_backends.testing.harness import AnyBackend, Clock, OpenBackend

BACKENDS = [
    pytest.param("memory"),
    pytest.param("sqlite"),
    pytest.param("postgres", marks=pytest.mark.postgres),
    pytest.param("redis", marks=pytest.mark.redis),
]
DURABLE = BACKENDS[1:]

_numbers = itertools.count(1)
_CLEAN = "TRUNCATE holdfast_records, holdfast_messages, holdfast_collections"


def memory_store() -> OpenBackend:
    """A store in memory: the same one at each opening."""
    opened: list[InMemoryBackend] = []

    def open_backend(clock: Clock) -> AbstractAsyncContextManager[AnyBackend]:
        if not opened:
            opened.append(InMemoryBackend(clock=clock))
        return opened[0]

    return open_backend


async def sqlite_template(folder: Path) -> Path:
    """A migrated file that holds nothing, to copy for each test."""
    template = folder / "template.db"
    await migrate(f"sqlite:///{template}")
    return template


def sqlite_store(template: Path, folder: Path) -> OpenBackend:
    """A store in a file of its own."""
    file = folder / f"{next(_numbers)}.db"
    shutil.copyfile(template, file)
    return lambda clock: SqliteBackend(f"sqlite:///{file}", clock=clock)


def postgres_store(url: str) -> OpenBackend:
    """The store in this run's database, emptied before its first opening."""
    clean = False

    @asynccontextmanager
    async def open_backend(clock: Clock) -> AsyncIterator[AnyBackend]:
        nonlocal clean
        if not clean:
            connection = await asyncpg.connect(url)
            await connection.execute(_CLEAN)
            await connection.close()
            clean = True
        async with PostgresBackend(url, clock=clock) as backend:
            yield backend

    return open_backend


def redis_store(url: str, namespace: str) -> OpenBackend:
    """A store under a prefix of its own."""
    own = f"{namespace}:{next(_numbers)}"
    return lambda clock: RedisBackend(url, namespace=own, clock=clock)
