"""Servers that live and have no connection, lock or moment left for the agents."""

import asyncio
from abc import abstractmethod
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
_AGENTS: Final = "application_name = 'holdfast'"


class Held(Fault):
    """Base of faults that hold something for a while.

    Args:
        url: the server, by an account that may do everything.
        seconds: for how long, about.
    """

    verb: str

    def __init__(self, url: str, *, seconds: float = 2.0) -> None:
        self._url = url
        self._seconds = seconds

    @property
    def kind(self) -> str:
        """As `Fault.kind`."""
        return self.verb

    async def strike(self, random: Random) -> Strike:
        """As `Fault.strike`."""
        struck_at = monotonic()
        await self._hold(self._seconds * random.uniform(0.75, 1.25))
        return Strike(self.kind, struck_at, monotonic())

    @abstractmethod
    async def _hold(self, seconds: float) -> None: ...


# -- PostgreSQL ------------------------------------------------------------------------------------


class TakeConnections(Held):
    """Others use all connections that PostgreSQL has, also those that the agents had."""

    verb = "take all connections of postgres"

    async def _hold(self, seconds: float) -> None:
        until = monotonic() + seconds
        async with AsyncExitStack() as stack:
            first = await stack.enter_async_context(postgres(self._url))
            while monotonic() < until:
                await self._take_all(stack)
                await first.execute(_TERMINATE)
                await asyncio.sleep(_RETAKEN)

    async def _take_all(self, stack: AsyncExitStack) -> None:
        with suppress(asyncpg.TooManyConnectionsError):
            while True:
                await stack.enter_async_context(postgres(self._url))


class TerminateConnections(Held):
    """Somebody terminates the agents' connections, again and again."""

    verb = "terminate connections to postgres"

    async def _hold(self, seconds: float) -> None:
        until = monotonic() + seconds
        async with postgres(self._url) as connection:
            while monotonic() < until:
                await connection.execute(_TERMINATE)
                await asyncio.sleep(seconds / 10)


class LockTables(Held):
    """A foreign transaction holds all tables, so that the whole pool waits for it."""

    verb = "lock tables of postgres"

    async def _hold(self, seconds: float) -> None:
        async with postgres(self._url) as connection, connection.transaction():
            await connection.execute("LOCK TABLE holdfast_collections, holdfast_records")
            await asyncio.sleep(seconds)


class CancelStatements(Held):
    """The processes of the agents' connections are cancelled in the middle of statements."""

    verb = "cancel statements of postgres"

    async def _hold(self, seconds: float) -> None:
        until = monotonic() + seconds
        async with postgres(self._url) as connection:
            while monotonic() < until:
                await connection.execute(_CANCEL)
                await asyncio.sleep(_RETAKEN)


_TERMINATE: Final = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {_AGENTS}"
_CANCEL: Final = f"SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE {_AGENTS}"


# -- Redis -----------------------------------------------------------------------------------------


class RefuseClients(Held):
    """Redis accepts no further client, and has closed all that there were."""

    verb = "reach maxclients of redis"

    async def _hold(self, seconds: float) -> None:
        async with redis(self._url) as server:
            before = int((await server.config_get("maxclients"))["maxclients"] or 0)
            await server.config_set("maxclients", 1)
            try:
                await server.client_kill_filter(_type="normal", skipme=True)
                await asyncio.sleep(seconds)
            finally:
                await server.config_set("maxclients", before)


class KillClients(Held):
    """Redis closes all connections, again and again."""

    verb = "kill clients of redis"

    async def _hold(self, seconds: float) -> None:
        until = monotonic() + seconds
        async with redis(self._url) as server:
            while monotonic() < until:
                await server.client_kill_filter(_type="normal", skipme=True)
                await asyncio.sleep(seconds / 10)


class PauseClients(Held):
    """Redis answers nobody."""

    verb = "pause clients of redis"

    async def _hold(self, seconds: float) -> None:
        async with redis(self._url) as server:
            await server.client_pause(round(seconds * 1000))
            await asyncio.sleep(seconds)


class RunForever(Held):
    """A script of others does not end: Redis answers BUSY until it is killed."""

    verb = "keep redis busy"

    async def _hold(self, seconds: float) -> None:
        async with redis(self._url) as server, redis(self._url) as other:
            await server.config_set("busy-reply-threshold", 50)
            running = asyncio.create_task(_run_forever(server))
            try:
                await asyncio.sleep(seconds)
            finally:
                await _kill_script(other)
                await running


async def _run_forever(server: "Redis") -> None:
    with suppress(ResponseError):  # it was killed
        await called(server, "EVAL", "while true do end", 0)


async def _kill_script(server: "Redis") -> None:
    with suppress(ResponseError):  # NOTBUSY: it is over already
        await called(server, "SCRIPT KILL")
