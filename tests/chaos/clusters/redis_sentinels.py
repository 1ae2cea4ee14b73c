"""A Redis master, two replicas and three sentinels that put a replica in its place."""

from asyncio import gather
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from redis.exceptions import RedisError

from tests.chaos.clusters.redis_nodes import PASSWORD, REPLICATED, RedisNode, until

SERVICE = "mymaster"
_SENTINEL_PASSWORD = "watch-word"


class SentinelGroup:
    """Three servers, and three who watch them."""

    def __init__(self, servers: Sequence[RedisNode], sentinels: Sequence[RedisNode]) -> None:
        self.servers = servers
        self.sentinels = sentinels

    @property
    def url(self) -> str:
        """The URL of a store there."""
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return (
            f"redis+sentinel://:{PASSWORD}@{hosts}/{SERVICE}/0"
            f"?sentinel_password={_SENTINEL_PASSWORD}"
        )

    async def master(self) -> RedisNode:
        """Whom the sentinels call the master."""
        _host, port = await self.sentinels[0].ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)
        return next(server for server in self.servers if server.port == int(port))

    async def switched(self, former: RedisNode, seconds: float = 30) -> RedisNode:
        """Wait until all sentinels name another master."""

        async def is_so() -> bool:
            return all([await self._named(sentinel) != former.port for sentinel in self.sentinels])

        await until(is_so, seconds, "the sentinels name another master")
        return await self.master()

    async def fail_over(self) -> None:
        """Ask for another master, as an operator does."""
        await self.sentinels[0].ask("SENTINEL", "FAILOVER", SERVICE)

    async def settled(self, seconds: float = 40) -> None:
        """Wait until the master has a replica in step, which can take its place.

        Not until it has all: a former master that comes back becomes one after ten seconds.
        """

        async def is_so() -> bool:
            try:
                told = await (await self.master()).facts("replication")
            except RedisError:
                return False
            return told["role"] == "master" and _in_step(told) > 0

        await until(is_so, seconds, "a replica is in step")

    async def _named(self, sentinel: RedisNode) -> int:
        found = await sentinel.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)
        return int(found[1])


@asynccontextmanager
async def sentinel_group(directory: Path, *options: str) -> AsyncIterator[SentinelGroup]:
    """A running group; the options are further lines of the servers' configuration."""
    servers: list[RedisNode] = []
    for number in range(3):
        lines = [*REPLICATED, *options]
        if servers:
            lines.append(f"replicaof 127.0.0.1 {servers[0].port}")
        servers.append(RedisNode(directory / f"server{number}", lines, password=PASSWORD))
    sentinels = [
        RedisNode(
            directory / f"sentinel{number}",
            _watching(servers[0].port),
            password=_SENTINEL_PASSWORD,
            sentinel=True,
        )
        for number in range(3)
    ]
    group = SentinelGroup(servers, sentinels)
    try:
        # The servers first: sentinels look for replicas at once, and then every ten seconds.
        await gather(*(server.start() for server in servers))
        await until(lambda: _is_followed(servers[0]), 20, "the replicas are in step")
        await gather(*(sentinel.start() for sentinel in sentinels))
        await _acquainted(group)
        yield group
    finally:
        await gather(*(node.kill() for node in (*sentinels, *servers)))


def _watching(port: int) -> list[str]:
    return [
        f"requirepass {_SENTINEL_PASSWORD}",
        f"sentinel sentinel-pass {_SENTINEL_PASSWORD}",
        f"sentinel monitor {SERVICE} 127.0.0.1 {port} 2",
        f"sentinel auth-pass {SERVICE} {PASSWORD}",
        f"sentinel down-after-milliseconds {SERVICE} 1000",
        f"sentinel failover-timeout {SERVICE} 2000",
        f"sentinel parallel-syncs {SERVICE} 2",
    ]


async def _is_followed(master: RedisNode) -> bool:
    return _in_step(await master.facts("replication")) == 2


async def _acquainted(group: SentinelGroup) -> None:
    """The sentinels know each other and both replicas: only then can they act."""

    async def is_so() -> bool:
        for sentinel in group.sentinels:
            flat = await sentinel.ask("SENTINEL", "MASTER", SERVICE)
            told = flat if isinstance(flat, dict) else dict(zip(flat[::2], flat[1::2], strict=True))
            known = {_text(name): _text(value) for name, value in told.items()}
            if known["num-other-sentinels"] != "2" or known["num-slaves"] != "2":
                return False
        return True

    await until(is_so, 30, "the sentinels know each other")


def _in_step(told: dict[str, str]) -> int:
    return sum(
        "online" in value and name.removeprefix("slave").isdecimal()
        for name, value in told.items()
        if name.startswith("slave")
    )


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
