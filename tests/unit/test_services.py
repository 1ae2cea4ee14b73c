"""The fixtures of the real servers: each gives a part of its own, and leaves nothing."""

import aio_pika
import asyncpg
import pytest
from redis.asyncio import Redis

from tests.services import (
    BrokerApi,
    ServiceMissingError,
    require_service,
    service_url,
    temporary_database,
    temporary_namespace,
    temporary_vhost,
)


async def test_a_fresh_vhost_works_over_amqp_and_is_gone_afterwards(
    amqp_url: str, rabbitmq_api: BrokerApi
) -> None:
    with temporary_vhost() as url:
        assert url != amqp_url
        async with await aio_pika.connect(url) as connection:
            channel = await connection.channel()
            await channel.declare_queue("kept", durable=True)
        vhost = url.rpartition("/")[2]
        queues = rabbitmq_api.call("GET", "queues", vhost)
        assert [queue["name"] for queue in queues] == ["kept"]
    names = [entry["name"] for entry in rabbitmq_api.call("GET", "vhosts")]
    assert vhost not in names


async def test_a_fresh_database_is_dropped_even_when_a_connection_is_left(
    postgres_url: str,
) -> None:
    async with temporary_database() as url:
        assert url != postgres_url
        left = await asyncpg.connect(url)
        assert await left.fetchval("SELECT current_database()") in url
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await asyncpg.connect(url)
    left.terminate()


async def test_keys_of_a_namespace_are_removed_and_no_others(
    redis_url: str, redis_namespace: str
) -> None:
    async with Redis.from_url(redis_url) as redis:
        other = f"{redis_namespace}:other"
        await redis.set(other, "1")
        async with temporary_namespace() as name:
            await redis.set(f"{{{name}}}:key", "1")
        assert await redis.exists(f"{{{name}}}:key") == 0
        assert await redis.exists(other) == 1


@pytest.mark.parametrize(
    ("required", "outcome"), [("0", pytest.skip.Exception), ("1", pytest.fail.Exception)]
)
def test_a_missing_server_skips_or_fails_where_all_are_required(
    monkeypatch: pytest.MonkeyPatch, required: str, outcome: type[BaseException]
) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("HOLDFAST_TEST_REQUIRE_SERVICES", required)
    with pytest.raises(outcome, match="scripts/services up"):
        require_service("HOLDFAST_TEST_NO_SUCH_URL")


def test_ci_requires_every_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception):
        require_service("HOLDFAST_TEST_NO_SUCH_URL")


def test_a_server_that_does_not_answer_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    # Port 1 is reserved, and nothing on a machine of today listens there.
    monkeypatch.setenv("HOLDFAST_TEST_SILENT_URL", "redis://127.0.0.1:1/0")
    with pytest.raises(ServiceMissingError, match="HOLDFAST_TEST_SILENT_URL"):
        service_url("HOLDFAST_TEST_SILENT_URL")
