"""The conformance suite on every backend."""

import pytest

from holdfast_backends.testing.suite import *  # noqa: F403 — made for it: every case and fixture
from tests.conformance.stores import BACKENDS


@pytest.fixture(params=BACKENDS)
def backend_name(request: pytest.FixtureRequest) -> str:
    """Which backend a test runs on."""
    name: str = request.param
    return name
