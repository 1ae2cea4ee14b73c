"""The disk of a store is full for a while: nothing acknowledged is lost, nothing half done."""

import pwd
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.private import PrivateServer
from tests.acceptance.serving import run_holdfast
from tests.chaos.faults.abilities import require
from tests.chaos.faults.connections import postgres
from tests.chaos.faults.disks import FullDisk, small_disk
from tests.chaos.struck import struck
from tests.services import POSTGRES_URL, REDIS_URL

pytestmark = pytest.mark.amqp


@pytest.fixture(autouse=True)
def mounting() -> None:
    """Every test here mounts a small file system."""
    require("mount")


async def test_sqlite_goes_on_when_its_full_disk_has_room_again(
    amqp_url: str, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", 32) as disk:
        url = f"sqlite:///{disk.folder / 'store.db'}"
        async with struck(amqp_url, url) as service:
            await service.by([FullDisk(disk, "sqlite")] * 2)
            assert not service.process.has_ended


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that other users can pass through: PostgreSQL may have to run as one of them."""
    with tempfile.TemporaryDirectory(prefix="holdfast-disk-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


@pytest.mark.redis
async def test_a_redis_that_its_full_disk_ended_is_used_again(amqp_url: str, folder: Path) -> None:
    server = PrivateServer("redis", folder / "private")
    with small_disk(server.folder / "data", 64) as disk:
        try:
            await server.up()
            async with struck(amqp_url, server.url(REDIS_URL)) as service:
                await service.by([FullDisk(disk, "redis", recover=server.up)])
                assert not service.process.has_ended
        finally:
            await server.remove()


@pytest.mark.postgres
async def test_a_postgres_that_its_full_disk_ended_is_used_again(
    amqp_url: str, folder: Path
) -> None:
    server = PrivateServer("postgres", folder / "private")
    with small_disk(server.folder / "data", 160, owner=_postgres_user()) as disk:
        try:
            await server.up()
            url = server.url(POSTGRES_URL)

            async def switch_wal() -> None:
                """A full segment: the next one finds no room, and that ends the server."""
                async with postgres(url) as connection:
                    await connection.execute("SELECT pg_switch_wal()")

            await run_holdfast("migrate", "--backend", url)
            async with struck(amqp_url, url) as service:
                fault = FullDisk(disk, "postgres", recover=server.up, press=switch_wal)
                await service.by([fault])
                assert not service.process.has_ended
        finally:
            await server.remove()


def _postgres_user() -> int | None:
    """Whom the server runs as: it refuses to run as root."""
    try:
        return pwd.getpwnam("postgres").pw_uid
    except KeyError:
        return None
