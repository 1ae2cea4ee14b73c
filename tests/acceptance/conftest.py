"""A served store of each backend, and plain clients of it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from tests.acceptance.plain_client import PlainClient, connected
from tests.acceptance.serving import serving
from tests.acceptance.stores import DURABLE, temporary_store
from tests.services import unique_name


@dataclass(frozen=True)
class Served:
    """Where a `holdfast serve` listens."""

    bus: str
    namespace: str
    kind: str


@pytest_asyncio.fixture(scope="session", loop_scope="session", params=DURABLE)
async def served(
    request: pytest.FixtureRequest, amqp_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Served]:
    """A running process over an empty store, shared by all tests that ask for it."""
    kind: str = request.param
    async with temporary_store(kind, tmp_path_factory.mktemp(kind)) as backend:
        name = unique_name()
        async with serving(amqp_url, backend, name):
            yield Served(amqp_url, name, kind)


@pytest_asyncio.fixture
async def client(served: Served) -> AsyncIterator[PlainClient]:
    """A plain AMQP client of the running process."""
    async with connected(served.bus, served.namespace) as client:
        yield client
