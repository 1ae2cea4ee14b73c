"""The stores of the conformance tests."""

import asyncio
from pathlib import Path

import pytest

from holdfast_backends.sql.migrate import migrate
from holdfast_backends.testing.harness import OpenBackend
from tests.conformance.stores import (
    memory_store,
    postgres_store,
    redis_store,
    sqlite_store,
    sqlite_template,
)


@pytest.fixture(scope="session")
def empty_sqlite_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file that holds nothing."""
    return asyncio.run(sqlite_template(tmp_path_factory.mktemp("sqlite")))


@pytest.fixture(scope="session")
def migrated_postgres_url(postgres_url: str) -> str:
    """URL of this run's own database, with the schema in it."""
    asyncio.run(migrate(postgres_url))
    return postgres_url


@pytest.fixture
def open_backend(request: pytest.FixtureRequest, backend_name: str, tmp_path: Path) -> OpenBackend:
    """What the conformance suite asks for: opens a clean store of the backend under test."""
    match backend_name:
        case "memory":
            return memory_store()
        case "sqlite":
            return sqlite_store(request.getfixturevalue("empty_sqlite_file"), tmp_path)
        case "postgres":
            return postgres_store(request.getfixturevalue("migrated_postgres_url"))
        case _:
            namespace = request.getfixturevalue("redis_namespace")
            return redis_store(request.getfixturevalue("redis_url"), namespace)
