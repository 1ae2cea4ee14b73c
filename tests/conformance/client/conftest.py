"""The client suite runs over every bus: the same tests, the same demands."""

import pytest

from tests.conformance.bus.harness import Harness, MemoryHarness, RabbitHarness


@pytest.fixture(params=["memory", pytest.param("rabbitmq", marks=pytest.mark.amqp)])
def harness(request: pytest.FixtureRequest) -> Harness:
    if request.param == "memory":
        return MemoryHarness()
    return RabbitHarness(request.getfixturevalue("amqp_url"))
