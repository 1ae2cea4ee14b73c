"""The stores of the conformance tests."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from holdfast_backends.sql.migrate import migrate
from holdfast_backends.testing.harness import OpenBackend
from tests.conformance.stores import (
    BACKENDS,
    LentBackend,
    forget_redis_keys,
    lent_postgres,
    lent_sqlite,
    memory_store,
    redis_store,
)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def empty_sqlite_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file that holds nothing, to be copied."""
    file = tmp_path_factory.mktemp("sqlite") / "empty.db"
    await migrate(f"sqlite:///{file}")
    return file


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def sqlite_to_lend(
    empty_sqlite_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[LentBackend]:
    """An open SQLite backend."""
    file = tmp_path_factory.mktemp("sqlite") / "lent.db"
    shutil.copyfile(empty_sqlite_file, file)
    async with lent_sqlite(file) as lent:
        yield lent


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def postgres_to_lend(postgres_url: str) -> AsyncIterator[LentBackend]:
    """An open PostgreSQL backend, on this run's own database."""
    await migrate(postgres_url)
    async with lent_postgres(postgres_url) as lent:
        yield lent


@pytest_asyncio.fixture
async def migrated_postgres_url(fresh_postgres_url: str) -> str:
    """URL of a database that holds nothing but the schema."""
    await migrate(fresh_postgres_url)
    return fresh_postgres_url


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def redis_place(redis_url: str, redis_namespace: str) -> AsyncIterator[tuple[str, str]]:
    """URL of the Redis server, and a namespace below which every test has its own."""
    yield redis_url, redis_namespace
    await forget_redis_keys(redis_url, redis_namespace)


@pytest.fixture(params=BACKENDS)
def open_backend(request: pytest.FixtureRequest) -> OpenBackend:
    """Opens a store that holds nothing yet, on each backend; what the suite asks for."""
    match request.param:
        case "memory":
            return memory_store()
        case "redis":
            return redis_store(*request.getfixturevalue("redis_place"))
        case name:
            lend: OpenBackend = request.getfixturevalue(f"{name}_to_lend").lend
            return lend
