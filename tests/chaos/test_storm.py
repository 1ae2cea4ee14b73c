"""The storm's short form: agents, broker and databases die under load, and nothing is broken.

`python -m tests.chaos` is the long form; its help tells everything.
"""

from pathlib import Path

import pytest

from tests.chaos.faults.abilities import require
from tests.chaos.options import Options
from tests.chaos.run import Run

pytestmark = [pytest.mark.amqp, pytest.mark.postgres, pytest.mark.redis]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A directory for servers, where their programs are on this machine or can be installed."""
    require("servers")
    return tmp_path


async def test_nothing_is_broken_when_agents_broker_and_databases_die_under_load(
    folder: Path,
) -> None:
    options = Options(
        folder=folder,
        seed=20261120,
        kills=2,
        stops=2,
        operations=1_000,
        workers=8,
        first_success=30.0,  # how fast it is, a quiet machine has to say
    )
    report = await Run(options, "pytest", lambda _line: None).run()

    assert report.found == [], report.as_text()
    assert {"kill agent", "kill rabbitmq", "kill postgres", "kill redis"} <= report.strikes.keys()
    assert min(report.operations.values()) >= 1_000
