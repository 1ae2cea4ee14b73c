"""Connections of an operator, or a foe, to the servers that the agents use."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, cast

import asyncpg
from redis.asyncio import Redis

_TIMEOUT: Final = 10  # seconds, for one call to a server


@asynccontextmanager
async def postgres(url: str) -> AsyncIterator[Any]:
    """One to PostgreSQL; closed without a word, whatever became of the server."""
    connection = await asyncpg.connect(
        url, timeout=_TIMEOUT, command_timeout=_TIMEOUT, server_settings={"application_name": "foe"}
    )
    try:
        yield connection
    finally:
        connection.terminate()


@asynccontextmanager
async def redis(url: str) -> AsyncIterator["Redis"]:
    """One to Redis, and no other, also later."""
    async with Redis.from_url(
        url, decode_responses=True, single_connection_client=True, socket_timeout=_TIMEOUT
    ) as connection:
        await connection.ping()  # connect now: later it may be too late
        yield connection


async def called(connection: "Redis", command: str, *arguments: str | int) -> object:
    """The answer to any command; the driver does not type this call."""
    execute = cast("Callable[..., Awaitable[object]]", connection.execute_command)
    return await execute(command, *arguments)
