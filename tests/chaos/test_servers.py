"""What the suite's own servers leave behind: nothing."""

import re
from pathlib import Path

import pytest

from tests.chaos.clusters.postgres import pair_of_servers
from tests.chaos.faults.abilities import require
from tests.chaos.servers import Postgres

pytestmark = pytest.mark.postgres


async def test_a_removed_postgres_gives_back_its_shared_memory_and_data(tmp_path: Path) -> None:
    require("servers")
    server = Postgres(tmp_path)
    try:
        await server.start()
        data = server.data
        memory = _memory_of(data)
        assert memory <= _shared_memory()
    finally:
        await server.remove()
    assert not memory & _shared_memory()
    assert data.is_relative_to(tmp_path) or not data.exists()


async def test_nor_does_one_that_was_dead_already_keep_any(tmp_path: Path) -> None:
    require("servers")
    server = Postgres(tmp_path)
    try:
        await server.start()
        memory = _memory_of(server.data)
        await server.kill()
        assert memory <= _shared_memory()
    finally:
        await server.remove()
    assert not memory & _shared_memory()


async def test_nor_do_a_killed_primary_and_its_killed_standby_keep_any(tmp_path: Path) -> None:
    require("servers")
    async with pair_of_servers(tmp_path) as pair:
        nodes = (pair.primary, pair.standby)
        memory = set[str]().union(*(_memory_of(node.data) for node in nodes))
        for node in nodes:
            await node.kill()
        assert memory <= _shared_memory()
    assert not memory & _shared_memory()


def _memory_of(data: Path) -> set[str]:
    """The shared memory of the server that runs on these files."""
    lines = (data / "postmaster.pid").read_text().splitlines()
    pid, segment = lines[0], lines[6].split()[1]
    files = re.findall(r"/dev/shm/(\S+)", Path(f"/proc/{pid}/maps").read_text())
    assert files
    return {segment, *files}


def _shared_memory() -> set[str]:
    """What there is of it, on the whole machine: numbers of System V's, names of POSIX's."""
    lines = Path("/proc/sysvipc/shm").read_text().splitlines()
    numbers = {line.split()[1] for line in lines[1:]}
    return numbers | {file.name for file in Path("/dev/shm").iterdir()}
