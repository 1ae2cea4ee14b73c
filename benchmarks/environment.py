"""What a benchmark works in: the servers' addresses, its own parts of them, and its options."""

import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
from redis.asyncio import Redis

OUTPUT = Path(__file__).parent / "out"
"""Where results and the servers' logs are written."""

IN_FLIGHT = 256
"""How many requests are under way at once, on either side of every comparison."""


@dataclass(frozen=True, slots=True)
class Options:
    """How much is measured.

    Args:
        runs: how often each case is measured.
        quick: less of everything; the figures are then only rough.
    """

    runs: int = 5
    quick: bool = False

    @property
    def warm_seconds(self) -> float:
        """How long a load runs before it counts."""
        return 0.5 if self.quick else 1.0

    @property
    def seconds(self) -> float:
        """How long a load is measured."""
        return 1.0 if self.quick else 3.0


@dataclass(slots=True)
class Bench:
    """One run of the benchmarks.

    Args:
        amqp_url: of a vhost of this run's own.
        postgres_url: of the server; `database` makes databases of one's own.
        redis_url: of the server; keys get a prefix of this run's own.
        stage: tells what is being measured now.
    """

    options: Options
    amqp_url: str
    postgres_url: str
    redis_url: str
    stage: Callable[[str], None] = lambda _text: None
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Say something about the case that a reader of its figures must know."""
        if text not in self.notes:
            self.notes.append(text)

    @asynccontextmanager
    async def database(self) -> AsyncIterator[str]:
        """The URL of a new, empty PostgreSQL database, dropped at the end."""
        name = unique_name()
        await _administer(self.postgres_url, f'CREATE DATABASE "{name}"')
        try:
            yield urlsplit(self.postgres_url)._replace(path=f"/{name}").geturl()
        finally:
            await _administer(self.postgres_url, f'DROP DATABASE "{name}" WITH (FORCE)')

    @asynccontextmanager
    async def redis_namespace(self) -> AsyncIterator[str]:
        """A prefix for Redis keys; keys that hold it are removed at the end."""
        name = unique_name()
        async with Redis.from_url(self.redis_url) as redis:
            yield name
            async for key in redis.scan_iter(match=f"*{name}*", count=1000):
                await redis.unlink(key)


def unique_name() -> str:
    """A name that no other run uses, valid as a vhost, a database and a namespace."""
    return f"holdfast_bench_{uuid.uuid4().hex[:16]}"


async def _administer(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
