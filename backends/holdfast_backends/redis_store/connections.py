"""Connections that lead to the master, and to no server that may lose what it acknowledged.

Both are seen to at each connecting, not once at the start: after a failover, or a restart, what
stands at the other end may be another server, or the same one with other settings.
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import hiredis
from redis.asyncio import BlockingConnectionPool
from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import MovedError

from holdfast_backends.errors import UnavailableError

from .address import Address
from .durability import Ask
from .failures import FAMILIES, translate
from .masters import Master

_SCRIPT_COMMANDS = frozenset({"EVAL", "EVALSHA"})

Check: TypeAlias = Callable[[Ask], Awaitable[None]]
"""Looks at a server that was just connected to; raises a RefusedError."""


class _Found(AbstractConnection):
    """Connects to the master, whoever it is by then, and leaves it when it no longer is."""

    host: str
    port: int

    def __init__(self, *, master: Master, check: Check, **options: Any) -> None:
        self._master = master
        self._check = check
        super().__init__(**options)
        master.followers.add(self)

    def leave(self) -> None:
        """See Follower: whoever waits for an answer here learns that none will come."""
        if self._writer is not None and (self.host, self.port) != self._master.latest:
            self._writer.transport.abort()

    def pack_command(self, *args: Any) -> list[bytes]:
        # Script calls, with their thousands of arguments, are packed in C.
        if args[0] in _SCRIPT_COMMANDS:
            return [hiredis.pack_command(args)]
        return super().pack_command(*args)

    async def connect(self) -> None:
        # Another one is the master since: this connection must not go on with the old.
        if self.is_connected and (self.host, self.port) != self._master.latest:
            await self.disconnect()
        await super().connect()  # type: ignore[no-untyped-call]

    async def connect_check_health(
        self, check_health: bool = True, retry_socket_connect: bool = True
    ) -> None:
        if not self.is_connected:
            self.host, self.port = await self._master.find()
        await super().connect_check_health(check_health, retry_socket_connect)

    async def on_connect_check_health(self, check_health: bool = True) -> None:
        await super().on_connect_check_health(check_health)
        await self._check(self._ask)

    async def _ask(self, *words: str) -> Any:
        await self.send_command(*words, check_health=False)
        return await self.read_response()

    async def read_response(self, *args: Any, **options: Any) -> Any:
        try:
            return await super().read_response(*args, **options)
        except MovedError as error:
            self._master.redirected((error.host or self.host, error.port))
            await self.disconnect()
            raise
        except FAMILIES as error:
            if self._master.can_move and isinstance(translate(error), UnavailableError):
                await self.disconnect()  # so that the next use looks for the master again
            raise


class _FoundConnection(_Found, Connection):
    pass


class _FoundEncryptedConnection(_Found, SSLConnection):
    pass


def open_pool(
    address: Address, master: Master, check: Check, *, connections: int, timeout: float
) -> BlockingConnectionPool:
    """A pool of at most so many connections; no wait without an end.

    Nothing is ever sent twice: redis-py's own retries are off, because a commit whose answer
    was lost may have been applied.

    Args:
        timeout: seconds to wait for a connection, for a free one of the pool, for an answer.
    """
    return BlockingConnectionPool(
        max_connections=connections,
        timeout=timeout,
        connection_class=_FoundEncryptedConnection if address.encrypted else _FoundConnection,
        master=master,
        check=check,
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
