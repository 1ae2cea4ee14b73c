"""What outlives a process, on every backend that promises it."""

import pytest

from holdfast_backends.testing.durable import *  # noqa: F403 — made for it: every case and fixture
from tests.conformance.stores import DURABLE


@pytest.fixture(params=DURABLE)
def backend_name(request: pytest.FixtureRequest) -> str:
    """Which backend a test runs on."""
    name: str = request.param
    return name
