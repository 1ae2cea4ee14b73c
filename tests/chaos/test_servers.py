"""What the suite's own servers leave behind: nothing."""

from pathlib import Path

import pytest

from tests.chaos.faults.abilities import require
from tests.chaos.servers import Postgres

pytestmark = pytest.mark.postgres


async def test_a_removed_postgres_gives_back_its_shared_memory_and_data(tmp_path: Path) -> None:
    require("servers")
    server = Postgres(tmp_path)
    try:
        await server.start()
        data = server.data
        # Its seventh line: key and number of the shared memory.
        segment = (data / "postmaster.pid").read_text().splitlines()[6].split()[1]
        assert segment in _segments()
    finally:
        await server.remove()
    assert segment not in _segments()
    assert data.is_relative_to(tmp_path) or not data.exists()


def _segments() -> set[str]:
    lines = Path("/proc/sysvipc/shm").read_text().splitlines()
    return {line.split()[1] for line in lines[1:]}
