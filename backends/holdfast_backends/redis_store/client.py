"""The connections to a Redis, and the only place that knows how loosely redis-py is typed."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias, cast

import hiredis
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError

from holdfast_backends.errors import StorageError

from .address import Address
from .failures import translated
from .scripts import Script

_SCRIPT_COMMANDS = frozenset({"EVAL", "EVALSHA"})

Reply: TypeAlias = "bytes | int | list[Reply] | None"
Argument: TypeAlias = bytes | int


class _FastPacking(AbstractConnection):
    """Packs script calls, with their thousands of arguments, in C instead of in Python."""

    def pack_command(self, *args: Any) -> list[bytes]:
        if args[0] in _SCRIPT_COMMANDS:
            return [hiredis.pack_command(args)]
        return super().pack_command(*args)


class _Connection(_FastPacking, Connection):
    pass


class _EncryptedConnection(_FastPacking, SSLConnection):
    pass


class RedisClient:
    """Runs scripts; at most `connections` at once, and no wait without an end.

    Nothing is ever sent twice: redis-py's own retries are off, because a commit whose answer
    was lost may have been applied.

    Args:
        address: where to connect to.
        connections: how many connections at most.
        timeout: seconds to wait for a connection, for a free one of the pool, for an answer.
    """

    def __init__(self, address: Address, *, connections: int, timeout: float) -> None:
        pool = BlockingConnectionPool(
            max_connections=connections,
            timeout=timeout,
            connection_class=_EncryptedConnection if address.encrypted else _Connection,
            host=address.host,
            port=address.port,
            db=address.database,
            username=address.username,
            password=address.password,
            protocol=2,
            decode_responses=False,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            socket_keepalive=True,
            socket_read_size=65_536,
            health_check_interval=15,
            retry=Retry(NoBackoff(), 0),
        )
        self._redis = Redis.from_pool(pool)

    @property
    def driver(self) -> Redis:
        """redis-py's own client; its errors are not translated."""
        return self._redis

    async def call(
        self, script: Script, keys: Sequence[bytes], arguments: Sequence[Argument]
    ) -> Reply:
        """Run a script.

        Raises:
            UnavailableError: it is unknown whether it ran.
            StorageError: it changed nothing.
        """
        with translated():
            try:
                return await self._run("EVALSHA", script.sha, keys, arguments)
            except NoScriptError:
                # The server has restarted or was told to forget: certainly nothing ran.
                return await self._run("EVAL", script.text, keys, arguments)

    async def _run(
        self, command: str, script: bytes, keys: Sequence[bytes], arguments: Sequence[Argument]
    ) -> Reply:
        execute = cast(Callable[..., Awaitable[Reply]], self._redis.execute_command)
        return await execute(command, script, len(keys), *keys, *arguments)

    async def close(self) -> None:
        """Close all connections."""
        with translated():
            await self._redis.aclose()


def items(reply: Reply) -> list[Reply]:
    """A reply that is a list."""
    if not isinstance(reply, list):
        raise StorageError("the store answered in an unexpected form")
    return reply


def texts(reply: Reply) -> list[bytes]:
    """A reply that is a list of strings; the elements of one command's reply are all alike."""
    return cast(list[bytes], items(reply))


def optional_texts(reply: Reply) -> list[bytes | None]:
    """A reply that is a list of strings, some of which may be missing."""
    return cast(list[bytes | None], items(reply))


def number(reply: Reply) -> int:
    """A reply that is an integer."""
    if not isinstance(reply, int):
        raise StorageError("the store answered in an unexpected form")
    return reply
