"""Connecting to the one server of several that takes writes."""

import asyncio
import socket
import ssl
from asyncio import Transport
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, Final, TypeAlias

import asyncpg

from holdfast_backends.errors import UnsafeStoreError

from .postgres_address import PostgresAddress

Greet: TypeAlias = Callable[[Any], Awaitable[None]]
"""Looks at a new `asyncpg.Connection` before it is used; an UnsafeStoreError refuses the server."""

_OTHERS_SECONDS: Final = 3.0
"""For each of several servers: one that swallows packets must not take the time of the others."""

_SILENT_SECONDS: Final = 5
"""After how long of hearing nothing a server's machine is taken for gone."""
_PROBE_AFTER_SECONDS: Final = 2
_PROBE_EVERY_SECONDS: Final = 1

_FAILURES: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,  # TimeoutError too
)
_REFUSALS: Final = ("28", "3D")


class Connector:
    """Opens connections to whichever server takes writes at that moment.

    The server that did the last time is asked first, then the others in the order of the URL.
    Standbys are asked and left; so nothing is ever read from one.

    Args:
        timeout: seconds for a server, at most; the greeting is within.
        settings: of the session, by name.
        greet: called with each new connection.
        arguments: more of `asyncpg.connect`.
    """

    def __init__(
        self,
        address: PostgresAddress,
        *,
        timeout: float,
        settings: Mapping[str, str],
        greet: Greet | None = None,
        **arguments: object,
    ) -> None:
        self._servers = address.servers
        self._greet = greet
        self._last = 0
        alone = len(address.servers) == 1
        self._bound = timeout if alone else min(timeout, _OTHERS_SECONDS)
        self._arguments: dict[str, Any] = {
            "user": address.user,
            "password": address.password,
            "database": address.database,
            "ssl": address.ssl,
            "target_session_attrs": address.target,
            "timeout": self._bound,
            "server_settings": dict(settings),
            "connection_class": _WatchedConnection,
            **arguments,
        }

    async def connect(self) -> Any:
        """A connection to the server that takes writes.

        Raises:
            The driver's exceptions, or what `greet` raised: where no server does, the one that
            tells most.
        """
        failures: list[Exception] = []
        for place in self._order():
            try:
                connection = await self._connected(*self._servers[place])
            except ssl.SSLError as error:
                failures.append(error)  # a certificate that is not trusted is a ValueError, too
                continue
            except ValueError:
                raise  # the driver's word for our own mistakes
            except (UnsafeStoreError, *_FAILURES) as error:
                failures.append(error)
                continue
            self._last = place
            return connection
        raise max(failures, key=_told)

    async def _connected(self, host: str | None, port: int | None) -> Any:
        # Of the greeting, the driver would bound each statement only, as any other one.
        async with asyncio.timeout(self._bound):
            connection = await asyncpg.connect(host=host, port=port, **self._arguments)
            await self._welcome(connection)
            return connection

    async def _welcome(self, connection: Any) -> None:
        if self._greet is None:
            return
        try:
            await self._greet(connection)
        except BaseException:
            connection.terminate()
            raise

    def _order(self) -> Iterator[int]:
        first = self._last  # another task may change it meanwhile
        yield first
        yield from (place for place in range(len(self._servers)) if place != first)


def _told(failure: Exception) -> int:
    """How much a failure says about what is to be done."""
    if isinstance(failure, UnsafeStoreError):
        return 4
    if isinstance(failure, asyncpg.PostgresError):
        refused = str(getattr(failure, "sqlstate", "")).startswith(_REFUSALS)
        return 3 if refused else 1
    return 2 if isinstance(failure, asyncpg.TargetServerAttributeNotMatched) else 0


class _WatchedConnection(asyncpg.Connection):  # type: ignore[misc]  # it has no types
    """A connection that ends soon after the server's machine has gone without a word, instead of
    when the longest statement could have ended."""

    __slots__ = ()

    def __init__(self, protocol: Any, transport: Transport, *arguments: Any) -> None:
        super().__init__(protocol, transport, *arguments)
        wire = transport.get_extra_info("socket")
        if wire is None or wire.family == socket.AF_UNIX:
            return
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _WATCHES.items():
            if hasattr(socket, name):  # as far as the system has it
                wire.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


_WATCHES: Final = {
    "TCP_KEEPIDLE": _PROBE_AFTER_SECONDS,
    "TCP_KEEPINTVL": _PROBE_EVERY_SECONDS,
    "TCP_KEEPCNT": _SILENT_SECONDS - _PROBE_AFTER_SECONDS,
    "TCP_USER_TIMEOUT": _SILENT_SECONDS * 1_000,
}
