"""A server that lives and has nothing left for the agents: they wait, and go on by themselves."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.acceptance.private import PrivateServer
from tests.acceptance.serving import run_holdfast
from tests.chaos.faults.pools import (
    CancelStatements,
    Held,
    KillClients,
    LockTables,
    PauseClients,
    RefuseClients,
    RunForever,
    TakeConnections,
    TerminateConnections,
)
from tests.chaos.struck import struck
from tests.services import POSTGRES_URL, REDIS_URL

pytestmark = pytest.mark.amqp

_OF_POSTGRES: list[type[Held]] = [
    TakeConnections,
    TerminateConnections,
    LockTables,
    CancelStatements,
]
_OF_REDIS: list[type[Held]] = [RefuseClients, KillClients, PauseClients, RunForever]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder that other users can pass through: PostgreSQL may have to run as one of them."""
    with tempfile.TemporaryDirectory(prefix="holdfast-pools-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def postgres_of_ours(folder: Path) -> AsyncIterator[str]:
    """A PostgreSQL whose connections may all be taken."""
    server = PrivateServer("postgres", folder / "postgres")
    try:
        await server.up()
        url = server.url(POSTGRES_URL)
        await run_holdfast("migrate", "--backend", url)
        yield url
    finally:
        await server.remove()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def redis_of_ours(folder: Path) -> AsyncIterator[str]:
    """A Redis that may refuse everybody."""
    server = PrivateServer("redis", folder / "redis")
    try:
        await server.up()
        yield server.url(REDIS_URL)
    finally:
        await server.remove()


@pytest.mark.postgres
async def test_agents_outlive_a_postgres_that_has_nothing_left_for_them(
    amqp_url: str, postgres_of_ours: str
) -> None:
    async with struck(amqp_url, postgres_of_ours) as service:
        await service.by([fault(postgres_of_ours, seconds=1.0) for fault in _OF_POSTGRES])
        assert not service.process.has_ended


@pytest.mark.redis
async def test_agents_outlive_a_redis_that_has_nothing_left_for_them(
    amqp_url: str, redis_of_ours: str
) -> None:
    async with struck(amqp_url, redis_of_ours) as service:
        await service.by([fault(redis_of_ours, seconds=1.0) for fault in _OF_REDIS])
        assert not service.process.has_ended
