"""Writes and syncs that fail, or are the last ones: an error means that nobody knows."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.acceptance.serving import run_holdfast
from tests.chaos.faults.abilities import require
from tests.chaos.faults.disks import Recover
from tests.chaos.faults.writes import SYNCS, WRITES, FailCalls, Injection
from tests.chaos.forms import by_form, is_long
from tests.chaos.processes import children_of
from tests.chaos.servers import Postgres, Redis
from tests.chaos.struck import Struck, open_folder, struck

pytestmark = pytest.mark.amqp

_COMES_WITHIN = by_form(5.0, 60.0)  # seconds until somebody makes his n-th call, on a busy machine
_ALL = [
    (SYNCS, "error=EIO"),
    (WRITES, "error=ENOSPC"),
    (WRITES, "signal=KILL"),
    (WRITES, "error=EIO"),
    (SYNCS, "signal=KILL"),
]


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where the files are. Every test here attaches strace to a process."""
    require("strace")
    with open_folder() as name:
        yield name


def _failing(
    of: str, pids: Callable[[], Sequence[int]], recover: Recover, *paths: Path
) -> list[FailCalls]:
    """All injections, in turn."""
    return [
        FailCalls(of, pids, injection, recover=recover, patience=_COMES_WITHIN)
        for injection in _injections(*paths)
    ]


def _injections(*paths: Path) -> list[Injection]:
    chosen = _ALL * 8 if is_long() else _ALL[:3]
    highest = 40 if is_long() else 8
    return [Injection(calls, result, paths, highest) for calls, result in chosen]


async def _strike_all(service: Struck, faults: Sequence[FailCalls]) -> None:
    for fault in faults:
        await service.by(fault)
        assert fault.injected, fault.kind


async def test_no_write_is_acknowledged_that_a_sqlite_file_did_not_take(
    amqp_url: str, folder: Path
) -> None:
    file = folder / "store.db"
    async with struck(amqp_url, f"sqlite:///{file}", mortal=True) as service:
        files = (file, folder / "store.db-wal")
        faults = _failing("sqlite", service.pids, service.revive, *files)
        await _strike_all(service, faults)


@pytest.mark.redis
async def test_agents_outlive_a_redis_whose_log_cannot_be_written(
    amqp_url: str, folder: Path
) -> None:
    require("servers")
    server = Redis(folder)
    try:
        await server.start()
        (log,) = (folder / "redis" / "data" / "appendonlydir").glob("*.incr.aof")
        async with struck(amqp_url, server.url) as service:
            faults = _failing("redis", lambda: [server.pid], server.until_it_answers, log)
            await _strike_all(service, faults)
    finally:
        await server.remove()


@pytest.mark.postgres
async def test_agents_outlive_a_postgres_whose_files_cannot_be_written(
    amqp_url: str, folder: Path
) -> None:
    require("servers")
    server = Postgres(folder)

    def processes() -> list[int]:
        return [server.pid, *children_of(server.pid)]

    try:
        await server.start()
        await run_holdfast("migrate", "--backend", server.url)
        async with struck(amqp_url, server.url) as service:
            faults = _failing("postgres", processes, server.until_it_answers)
            await _strike_all(service, faults)
    finally:
        await server.remove()
