"""RabbitMQ is out of memory or disk for a while: everybody waits, and goes on."""

from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest

from tests.chaos.faults.alarms import DiskAlarm, MemoryAlarm
from tests.chaos.forms import by_form
from tests.chaos.proxied import proxied
from tests.chaos.servers import RabbitMQ

pytestmark = pytest.mark.amqp

_SEED = 20261122
# To agents and clients the two are alike; each takes some seconds of rabbitmqctl.
_ALARMS = by_form((MemoryAlarm,), 3 * (MemoryAlarm, DiskAlarm))
_WHILE = by_form((1.5, 2.0), (2.0, 10.0))  # seconds
_ON_THE_WAY = 0.7  # seconds until what was published before an alarm has come


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[RabbitMQ]:
    """One that no other test feels."""
    server = RabbitMQ(tmp_path / "broker")
    try:
        await server.start()
        yield server
    finally:
        await server.remove()


async def test_nothing_is_lost_while_the_broker_takes_nothing(
    broker: RabbitMQ, tmp_path: Path
) -> None:
    random = Random(_SEED)
    async with proxied(broker.url, "sqlite", tmp_path, _SEED, ({}, {})) as service:
        for alarm in _ALARMS:
            strike = await service.by(alarm(broker, seconds=_WHILE), random)
            begin, end = strike.struck_at + _ON_THE_WAY, strike.struck_at + _WHILE[0]
            assert not service.load.rates.between(begin, end), "the broker took something"
