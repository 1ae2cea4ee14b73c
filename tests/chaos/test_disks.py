"""The disk of a store is full for a while: nothing acknowledged is lost, nothing half done."""

import os
import pwd
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.serving import run_holdfast
from tests.chaos.faults.abilities import require
from tests.chaos.faults.connections import postgres
from tests.chaos.faults.disks import FullDisk, small_disk
from tests.chaos.forms import by_form
from tests.chaos.servers import Postgres, Redis
from tests.chaos.struck import open_folder, struck

pytestmark = pytest.mark.amqp

_TIMES = by_form(1, 8)
_SECONDS = by_form(0.7, 3.0)


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where the servers and their disks are. Every test here mounts a small file system."""
    require("mount")
    with open_folder() as name:
        yield name


async def test_sqlite_goes_on_when_its_full_disk_has_room_again(
    amqp_url: str, folder: Path
) -> None:
    with small_disk(folder / "disk", by_form(16, 64)) as disk:
        async with struck(amqp_url, f"sqlite:///{disk.folder / 'store.db'}") as service:
            for _time in range(_TIMES):
                await service.noticed(FullDisk(disk, "sqlite", seconds=_SECONDS))


@pytest.mark.redis
async def test_a_redis_that_its_full_disk_ended_is_used_again(amqp_url: str, folder: Path) -> None:
    require("servers")
    server = Redis(folder)
    with small_disk(folder / "redis" / "data", by_form(32, 128)) as disk:
        try:
            await server.start()
            fault = FullDisk(disk, "redis", seconds=_SECONDS, recover=server.until_it_answers)
            async with struck(amqp_url, server.url) as service:
                for _time in range(_TIMES):
                    await service.noticed(fault)
        finally:
            await server.remove()


@pytest.mark.postgres
async def test_a_postgres_that_its_full_disk_ended_is_used_again(
    amqp_url: str, folder: Path
) -> None:
    require("servers")
    server = Postgres(folder)

    async def switch_wal() -> None:
        """The next segment finds no room: that ends the server."""
        async with postgres(server.url) as connection:
            await connection.execute("SELECT pg_switch_wal()")

    data = folder / "postgres" / "data"
    with small_disk(data, by_form(160, 400), owner=_owner()) as disk:
        try:
            await server.start()
            await run_holdfast("migrate", "--backend", server.url)
            fault = FullDisk(
                disk,
                "postgres",
                seconds=_SECONDS,
                recover=server.until_it_answers,
                press=switch_wal,
            )
            async with struck(amqp_url, server.url) as service:
                for _time in range(_TIMES):
                    await service.noticed(fault)
        finally:
            await server.remove()


def _owner() -> int | None:
    """Whom PostgreSQL runs as: root it refuses."""
    return pwd.getpwnam("postgres").pw_uid if os.geteuid() == 0 else None
