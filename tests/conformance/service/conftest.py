"""A whole service, on each backend and both buses."""

import shutil
from pathlib import Path

import pytest
import pytest_asyncio

from holdfast_protocol.ids import uuid7
from tests.conformance.service.scene import Scene
from tests.conformance.stores import BACKENDS, DURABLE, LentBackend
from tests.services import unique_name


@pytest_asyncio.fixture(loop_scope="session")
async def emptied_postgres_url(postgres_url: str, postgres_to_lend: LentBackend) -> str:
    """This run's database, which holds nothing but the schema: cheaper than one of its own."""
    await postgres_to_lend.empty()
    return postgres_url


@pytest.fixture(params=BACKENDS)
def backend_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A prepared, empty store."""
    return _store(request, tmp_path)


@pytest.fixture(params=DURABLE)
def shared_backend_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A prepared, empty store that outlives a service, and that several may use at once."""
    return _store(request, tmp_path)


def _store(request: pytest.FixtureRequest, folder: Path) -> str:
    match request.param:
        case "memory":
            return "memory://"
        case "sqlite":
            file = folder / "store.db"
            shutil.copyfile(request.getfixturevalue("empty_sqlite_file"), file)
            return f"sqlite:///{file}"
        case "postgres":
            url: str = request.getfixturevalue("emptied_postgres_url")
            return url
        case _:
            namespace: str = request.getfixturevalue("fresh_redis_namespace")
            return f"{request.getfixturevalue('redis_url')}?namespace={namespace}"


@pytest.fixture(params=["memory", pytest.param("rabbitmq", marks=pytest.mark.amqp)])
def bus_url(request: pytest.FixtureRequest) -> str:
    """Where a service and its clients meet."""
    if request.param == "memory":
        return f"memory://{uuid7()}"
    url: str = request.getfixturevalue("amqp_url")
    return url


@pytest.fixture
def scene(bus_url: str, backend_url: str) -> Scene:
    """Services and clients of one store and one bus."""
    return Scene(bus_url, backend_url, unique_name())


@pytest.fixture
def shared_scene(bus_url: str, shared_backend_url: str) -> Scene:
    """The same, on a store that outlives a service."""
    return Scene(bus_url, shared_backend_url, unique_name())


@pytest.fixture
def lasting_scene(amqp_url: str, shared_backend_url: str) -> Scene:
    """Services that share not only a store but also a broker outside their processes."""
    return Scene(amqp_url, shared_backend_url, unique_name())
