"""A store of each backend for a test's own processes, as its operator would prepare it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.acceptance.serving import run_holdfast
from tests.services import (
    POSTGRES_URL,
    REDIS_URL,
    require_service,
    temporary_database,
    temporary_namespace,
)

DURABLE = [
    pytest.param("postgres", marks=pytest.mark.postgres),
    pytest.param("sqlite"),
    pytest.param("redis", marks=pytest.mark.redis),
]
ALL = [pytest.param("memory"), *DURABLE]


@asynccontextmanager
async def temporary_store(kind: str, folder: Path) -> AsyncIterator[str]:
    """The URL of an empty store that other processes can open, migrated by the command."""
    if kind == "memory":
        yield "memory://"
    elif kind == "sqlite":
        url = f"sqlite:///{folder / 'store.db'}"
        await run_holdfast("migrate", "--backend", url)
        yield url
    elif kind == "postgres":
        require_service(POSTGRES_URL)
        async with temporary_database() as url:
            await run_holdfast("migrate", "--backend", url)
            yield url
    else:
        redis = require_service(REDIS_URL)
        async with temporary_namespace() as name:
            yield f"{redis}?namespace={name}"
