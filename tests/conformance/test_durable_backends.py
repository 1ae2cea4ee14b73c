"""What outlives a process, on every backend that promises it."""

from pathlib import Path

import pytest

from holdfast_backends.testing.durable import *  # noqa: F403 — made for it: every case and fixture
from holdfast_backends.testing.durable import OpenBackend
from tests.conformance.stores import DURABLE, postgres_store, redis_store, sqlite_store


@pytest.fixture(params=DURABLE)
def open_backend(request: pytest.FixtureRequest, tmp_path: Path) -> OpenBackend:
    """Opens a store that holds nothing yet, or opens it again."""
    match request.param:
        case "sqlite":
            return sqlite_store(request.getfixturevalue("empty_sqlite_file"), tmp_path)
        case "postgres":
            return postgres_store(request.getfixturevalue("migrated_postgres_url"))
        case _:
            return redis_store(*request.getfixturevalue("redis_place"))
