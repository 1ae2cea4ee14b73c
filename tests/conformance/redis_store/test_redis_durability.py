"""What the Redis store asks of a server before it trusts it, on servers set up for it."""

import signal
from pathlib import Path

import pytest

from holdfast_backends.errors import (
    SchemaError,
    StorageError,
    UnavailableError,
    UnsafeStoreError,
)
from holdfast_backends.redis_store import RedisStore
from holdfast_backends.store import CommitConflictError, Wanted
from tests.conformance.redis_store.redis_tools import contents, keep, put, redis_server, row

pytestmark = pytest.mark.redis


@pytest.mark.parametrize(
    ("options", "setting", "durable"),
    [
        (("--appendonly", "no"), "appendonly", True),
        (("--appendfsync", "everysec"), "appendfsync", True),
        (("--no-appendfsync-on-rewrite", "yes"), "no-appendfsync-on-rewrite", True),
        (
            ("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"),
            "maxmemory-policy",
            False,
        ),
    ],
    ids=lambda value: str(value[-1]) if isinstance(value, tuple) else str(value),
)
async def test_a_server_that_may_lose_writes_is_refused(
    tmp_path: Path, options: tuple[str, ...], setting: str, durable: bool
) -> None:
    async with redis_server(tmp_path, *options) as server:
        store = RedisStore(server.url)
        with pytest.raises(UnsafeStoreError) as caught:
            await store.__aenter__()
        assert f"set {setting} to" in caught.value.message
        assert str(server.port) not in caught.value.message
        async with server.client() as client:
            assert await client.dbsize() == 0

        async with RedisStore(server.url, allow_unsafe=True) as allowed:
            assert [finding.setting for finding in allowed.findings] == [setting]
            assert allowed.capabilities.durable is durable
            assert allowed.capabilities.crash_safe is False
            await keep(allowed, row(1, {}))


async def test_a_safe_server_is_safe(tmp_path: Path) -> None:
    # Without a limit of memory nothing is ever evicted, whatever the policy.
    async with (
        redis_server(tmp_path, "--maxmemory-policy", "allkeys-lru") as server,
        RedisStore(server.url) as store,
    ):
        assert store.findings == ()
        assert store.capabilities.durable
        assert store.capabilities.crash_safe
        assert store.capabilities.shared


@pytest.mark.parametrize("how", ["renamed", "forbidden"])
async def test_without_config_the_flushing_cannot_be_known(tmp_path: Path, how: str) -> None:
    options = ("--rename-command", "CONFIG", "") if how == "renamed" else ()
    async with redis_server(tmp_path, *options) as server:
        if how == "forbidden":
            async with server.client() as client:
                await client.execute_command(  # type: ignore[no-untyped-call]
                    "ACL SETUSER", "default", "-config"
                )
        with pytest.raises(UnsafeStoreError, match="does not tell whether appendfsync"):
            await RedisStore(server.url).__aenter__()
        async with RedisStore(server.url, allow_unsafe=True) as store:
            assert {finding.setting for finding in store.findings} == {
                "appendfsync",
                "no-appendfsync-on-rewrite",
            }
            assert not store.capabilities.crash_safe


async def test_an_account_that_may_not_do_enough_is_refused(tmp_path: Path) -> None:
    async with redis_server(tmp_path) as server:
        async with server.client() as client:
            await client.execute_command(  # type: ignore[no-untyped-call]
                "ACL SETUSER", "default", "-zadd"
            )
        with pytest.raises(StorageError, match="refuses this account"):
            await RedisStore(server.url).__aenter__()


async def test_a_wrong_password_is_refused_without_naming_anything(tmp_path: Path) -> None:
    async with redis_server(tmp_path, "--requirepass", "right") as server:
        url = server.url.replace("redis://", "redis://:wrong@")
        with pytest.raises(StorageError) as caught:
            await RedisStore(url).__aenter__()
        assert not isinstance(caught.value, UnavailableError)
        assert "wrong" not in caught.value.message
        async with RedisStore(url.replace("wrong", "right")) as store:
            await keep(store, row(1, {}))


async def test_a_replica_is_unavailable(tmp_path: Path) -> None:
    async with redis_server(tmp_path, "--replicaof", "127.0.0.1", "1") as server:
        with pytest.raises(UnavailableError):
            await RedisStore(server.url).__aenter__()
        async with server.client() as client:
            await client.config_set("replica-serve-stale-data", "no")
        with pytest.raises(UnavailableError):
            await RedisStore(server.url).__aenter__()


async def test_nothing_there_is_unavailable(tmp_path: Path) -> None:
    async with redis_server(tmp_path) as server:
        await server.stop()
        with pytest.raises(UnavailableError) as caught:
            await RedisStore(server.url, timeout=1.0).__aenter__()
        assert str(server.port) not in caught.value.message


async def test_another_versions_namespace_is_refused(
    redis_url: str, fresh_redis_namespace: str
) -> None:
    async with RedisStore(redis_url, namespace=fresh_redis_namespace) as store:
        await store._client.driver.set(store._layout.version, b"999")
    with pytest.raises(SchemaError):
        await RedisStore(redis_url, namespace=fresh_redis_namespace).__aenter__()


async def test_what_was_acknowledged_survives_a_crash(tmp_path: Path) -> None:
    async with redis_server(tmp_path) as server:
        async with RedisStore(server.url) as store:
            for number in range(1, 51):
                await keep(store, row(number, {"n": number}))
            await server.stop(signal.SIGKILL)
        await server.start()
        async with RedisStore(server.url) as store:
            assert len(await contents(store)) == 50


async def test_a_frozen_server_leaves_a_commit_unknown(tmp_path: Path) -> None:
    async with redis_server(tmp_path) as server, RedisStore(server.url, timeout=1.0) as store:
        async with store.write(["tasks"]) as unit:
            await unit.load(Wanted(["tasks"], [], []))
            server.send(signal.SIGSTOP)
            with pytest.raises(UnavailableError):
                await put(unit, [row(1, {})])
        server.send(signal.SIGCONT)
        await keep(store, row(2, {}))
        assert 2 in {int.from_bytes(found.key[1:]) for found in await contents(store)}


async def test_without_memory_nothing_is_half_done_and_deleting_helps(tmp_path: Path) -> None:
    async with redis_server(tmp_path, "--maxmemory-policy", "noeviction") as server:
        async with RedisStore(server.url) as store, server.client() as client:
            await keep(store, *(row(number, {"text": "x" * 10_000}) for number in range(1, 101)))
            await client.config_set("maxmemory", "1mb")
            before = await client.hgetall(store._layout.revisions)
            with pytest.raises(StorageError, match="no memory left") as caught:
                await keep(store, row(101, {}))
            assert not isinstance(caught.value, (UnavailableError, CommitConflictError))
            assert await client.hgetall(store._layout.revisions) == before
            assert len(await contents(store)) == 100
            await keep(store, *(row(number, version=2) for number in range(1, 51)))
            assert len(await contents(store)) == 50
        # A full server can be opened, or nobody could ever delete anything.
        async with RedisStore(server.url) as store:
            await keep(store, *(row(number, version=2) for number in range(51, 101)))
            assert await contents(store) == []
