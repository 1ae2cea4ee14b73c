"""Fixtures that every suite shares: the real servers, a part of each per run or per test.

`amqp_url`, `postgres_url` and `redis_namespace` are one per run and cheap; the `fresh_` ones
are empty for each test. Without its server a test skips, or fails where all are required.
"""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from tests.services import (
    AMQP_URL,
    POSTGRES_URL,
    REDIS_URL,
    BrokerApi,
    broker_api,
    require_service,
    temporary_database,
    temporary_namespace,
    temporary_vhost,
)


@pytest.fixture(scope="session")
def amqp_url() -> Iterator[str]:
    """AMQP URL of this run's own vhost."""
    require_service(AMQP_URL)
    with temporary_vhost() as url:
        yield url


@pytest.fixture
def fresh_amqp_url() -> Iterator[str]:
    """AMQP URL of a vhost that holds nothing yet."""
    require_service(AMQP_URL)
    with temporary_vhost() as url:
        yield url


@pytest.fixture(scope="session")
def rabbitmq_api() -> BrokerApi:
    """The management API of the broker, for all vhosts."""
    require_service(AMQP_URL)
    return broker_api()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def postgres_url() -> AsyncIterator[str]:
    """URL (postgresql://…) of this run's own database."""
    require_service(POSTGRES_URL)
    async with temporary_database() as url:
        yield url


@pytest_asyncio.fixture
async def fresh_postgres_url() -> AsyncIterator[str]:
    """URL (postgresql://…) of a database that holds nothing yet."""
    require_service(POSTGRES_URL)
    async with temporary_database() as url:
        yield url


@pytest.fixture(scope="session")
def redis_url() -> str:
    """URL of the Redis server; put `redis_namespace` into every key."""
    return require_service(REDIS_URL)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def redis_namespace(redis_url: str) -> AsyncIterator[str]:
    """This run's own part of every Redis key; keys that contain it are removed at the end."""
    async with temporary_namespace() as name:
        yield name


@pytest_asyncio.fixture
async def fresh_redis_namespace(redis_url: str) -> AsyncIterator[str]:
    """A part for Redis keys that no key contains yet."""
    async with temporary_namespace() as name:
        yield name
