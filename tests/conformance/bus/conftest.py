"""The bus suite runs on every bus: the same tests, the same demands."""

from collections.abc import AsyncIterator

import pytest

from holdfast_protocol.bus.contract import Bus
from tests.conformance.bus.harness import Harness, MemoryHarness, RabbitHarness


@pytest.fixture(params=["memory", pytest.param("rabbitmq", marks=pytest.mark.amqp)])
def harness(request: pytest.FixtureRequest) -> Harness:
    if request.param == "memory":
        return MemoryHarness()
    return RabbitHarness(request.getfixturevalue("amqp_url"))


@pytest.fixture
async def bus(harness: Harness) -> AsyncIterator[Bus]:
    """One open bus of the test's own namespace."""
    async with harness.bus() as opened:
        yield opened
