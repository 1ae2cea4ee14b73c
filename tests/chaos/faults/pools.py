"""Servers that live and have no connection, lock or moment left for the agents."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from random import Random
from time import monotonic
from typing import Final

import asyncpg
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from tests.chaos.faults.connections import called, postgres, redis
from tests.chaos.faults.contract import Fault, Strike

_RETAKEN: Final = 0.02  # seconds: as soon as one connection goes, another may take its place
_AT_ONCE: Final = 8
_AGENTS: Final = "application_name = 'holdfast'"


class Held(ABC):
    """Base of faults that hold something for a while.

    Args:
        url: the server, by an account that may do everything.
        seconds: for how long, about.
        turn: held meanwhile, where others strike the server too.
    """

    kind: str
    at: str

    def __init__(self, url: str, *, seconds: float = 2.0, turn: asyncio.Lock | None = None) -> None:
        self._url = url
        self._seconds = seconds
        self._turn = turn if turn is not None else asyncio.Lock()

    async def strike(self, random: Random) -> Strike:
        """As `Fault.strike`."""
        async with self._turn:
            struck_at = monotonic()
            try:
                await self._hold(self._seconds * random.uniform(0.75, 1.25))
            except (TimeoutError, OSError):  # too busy to let even the foe in
                return Strike(f"miss {self.kind}", struck_at, monotonic(), self.at)
            return Strike(self.kind, struck_at, monotonic(), self.at)

    @abstractmethod
    async def _hold(self, seconds: float) -> None: ...


async def _repeat(act: Callable[[], Awaitable[object]], seconds: float, pause: float) -> None:
    """Do something again and again for a while, with a pause after each time."""
    until = monotonic() + seconds
    while monotonic() < until:
        await act()
        await asyncio.sleep(pause)


# -- PostgreSQL ------------------------------------------------------------------------------------


class TakeConnections(Held):
    """Others use all connections that PostgreSQL has, also those that the agents had."""

    kind = "take all connections of postgres"
    at = "postgres"

    async def _hold(self, seconds: float) -> None:
        async with AsyncExitStack() as stack:
            first = await stack.enter_async_context(postgres(self._url))
            await self._take_all(stack)
            until = monotonic() + seconds
            while monotonic() < until:
                await first.execute(_TERMINATE)
                await self._take_all(stack)
                await asyncio.sleep(_RETAKEN)

    async def _take_all(self, stack: AsyncExitStack) -> None:
        """Connect until the server refuses, some at a time: each costs it a proof of password."""
        with suppress(asyncpg.TooManyConnectionsError):
            while True:
                coming = [postgres(self._url) for _number in range(_AT_ONCE)]
                opened = (stack.enter_async_context(connection) for connection in coming)
                for one in await asyncio.gather(*opened, return_exceptions=True):
                    if isinstance(one, BaseException):
                        raise one


class TerminateConnections(Held):
    """Somebody terminates the agents' connections, again and again."""

    kind = "terminate connections to postgres"
    at = "postgres"

    async def _hold(self, seconds: float) -> None:
        async with postgres(self._url) as connection:
            await _repeat(lambda: connection.execute(_TERMINATE), seconds, seconds / 10)


class LockTables(Held):
    """A foreign transaction holds all tables, so that the whole pool waits for it."""

    kind = "lock tables of postgres"
    at = "postgres"

    async def _hold(self, seconds: float) -> None:
        async with postgres(self._url) as connection, connection.transaction():
            await connection.execute("LOCK TABLE holdfast_collections, holdfast_records")
            await asyncio.sleep(seconds)


class CancelStatements(Held):
    """The processes of the agents' connections are cancelled in the middle of statements."""

    kind = "cancel statements of postgres"
    at = "postgres"

    async def _hold(self, seconds: float) -> None:
        async with postgres(self._url) as connection:
            await _repeat(lambda: connection.execute(_CANCEL), seconds, _RETAKEN)


_TERMINATE: Final = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {_AGENTS}"
_CANCEL: Final = f"SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE {_AGENTS}"


# -- Redis -----------------------------------------------------------------------------------------


class RefuseClients(Held):
    """Redis accepts no further client, and has closed all that there were."""

    kind = "reach maxclients of redis"
    at = "redis"

    async def _hold(self, seconds: float) -> None:
        async with redis(self._url) as server:
            before = int((await server.config_get("maxclients"))["maxclients"] or 0)
            await server.config_set("maxclients", 1)
            try:
                await _kill_all(server)
                await asyncio.sleep(seconds)
            finally:
                await server.config_set("maxclients", before)


class KillClients(Held):
    """Redis closes all connections, again and again."""

    kind = "kill clients of redis"
    at = "redis"

    async def _hold(self, seconds: float) -> None:
        async with redis(self._url) as server:
            await _repeat(lambda: _kill_all(server), seconds, seconds / 10)


class PauseClients(Held):
    """Redis answers nobody."""

    kind = "pause clients of redis"
    at = "redis"

    async def _hold(self, seconds: float) -> None:
        async with redis(self._url) as server:
            await server.client_pause(round(seconds * 1000))
            await asyncio.sleep(seconds)


class RunForever(Held):
    """A script of others does not end: Redis answers BUSY until it is killed."""

    kind = "keep redis busy"
    at = "redis"

    async def _hold(self, seconds: float) -> None:
        async with redis(self._url) as server, redis(self._url) as other:
            await server.config_set("busy-reply-threshold", 50)
            running = asyncio.create_task(_run_forever(server))
            try:
                await asyncio.sleep(seconds)
            finally:
                await _kill_script(other)
                await running


async def _kill_all(server: "Redis") -> None:
    await server.client_kill_filter(_type="normal", skipme=True)


async def _run_forever(server: "Redis") -> None:
    with suppress(ResponseError):  # it was killed
        await called(server, "EVAL", "while true do end", 0)


async def _kill_script(server: "Redis") -> None:
    with suppress(ResponseError):  # NOTBUSY: it is over already
        await called(server, "SCRIPT KILL")


# -- all of them -----------------------------------------------------------------------------------

OF_POSTGRES: Final[tuple[type[Held], ...]] = (
    TakeConnections,
    TerminateConnections,
    LockTables,
    CancelStatements,
)
OF_REDIS: Final[tuple[type[Held], ...]] = (RefuseClients, KillClients, PauseClients, RunForever)


class AnyOf(Fault):
    """One of several faults, as it is drawn; what it tells is what was drawn."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self._faults = faults

    @property
    def kind(self) -> str:
        """As `Fault.kind`."""
        return " or ".join(fault.kind for fault in self._faults)

    async def strike(self, random: Random) -> Strike:
        """As `Fault.strike`."""
        return await random.choice(self._faults).strike(random)
