"""A server that lives and has nothing left for the agents: they wait, and go on by themselves."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.serving import run_holdfast
from tests.chaos.faults.abilities import require
from tests.chaos.faults.pools import OF_POSTGRES, OF_REDIS, Held, LockTables, PauseClients
from tests.chaos.forms import by_form
from tests.chaos.servers import Postgres, Redis
from tests.chaos.struck import Struck, open_folder, struck

pytestmark = pytest.mark.amqp

_TIMES = by_form(1, 5)
_SECONDS = by_form(1.0, 3.0)
_SILENT = (LockTables, PauseClients)  # those that have the agents wait, and end before they err
_SILENCE = _SECONDS / 2  # seconds: what is held for 3/4 at least, less what was on its way


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where the servers are: those that all tests share must not refuse the others."""
    require("servers")
    with open_folder() as name:
        yield name


async def _strike_all(service: Struck, faults: list[Held]) -> None:
    for fault in faults * _TIMES:
        if isinstance(fault, _SILENT):
            await service.silenced(fault, _SILENCE)
        else:
            await service.noticed(fault)


@pytest.mark.postgres
async def test_agents_outlive_a_postgres_that_has_nothing_left_for_them(
    amqp_url: str, folder: Path
) -> None:
    server = Postgres(folder)
    try:
        await server.start()
        await run_holdfast("migrate", "--backend", server.url)
        faults = [fault(server.url, seconds=_SECONDS) for fault in OF_POSTGRES]
        async with struck(amqp_url, server.url) as service:
            await _strike_all(service, faults)
    finally:
        await server.remove()


@pytest.mark.redis
async def test_agents_outlive_a_redis_that_has_nothing_left_for_them(
    amqp_url: str, folder: Path
) -> None:
    server = Redis(folder)
    try:
        await server.start()
        faults = [fault(server.url, seconds=_SECONDS) for fault in OF_REDIS]
        async with struck(amqp_url, server.url) as service:
            await _strike_all(service, faults)
    finally:
        await server.remove()
