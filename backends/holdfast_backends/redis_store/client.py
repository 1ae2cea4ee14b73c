"""Running scripts on the master, and the only place that knows how loosely redis-py is typed."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias, cast

from redis.asyncio import Redis
from redis.exceptions import MovedError, NoScriptError

from holdfast_backends.errors import (
    SchemaError,
    StorageError,
    UnavailableError,
    UnsafeStoreError,
)

from .address import Address, Kind
from .connections import open_pool
from .durability import Ask, Finding, examine
from .failures import RefusedError, translated
from .layout import Layout
from .masters import Master, OneServer
from .scripts import Script
from .sentinel_master import SentinelsMaster
from .slot_master import SlotMaster

_REDIRECTIONS = 3

Reply: TypeAlias = "bytes | int | list[Reply] | None"
Argument: TypeAlias = bytes | int


class RedisClient:
    """Runs scripts; at most `connections` at once, and no wait without an end.

    Args:
        address: where to connect to.
        allow_unsafe: use also a server that may lose acknowledged writes.
        connections: how many connections at most.
        timeout: seconds to wait for a connection, for a free one of the pool, for an answer.
    """

    def __init__(
        self, address: Address, *, allow_unsafe: bool, connections: int, timeout: float
    ) -> None:
        self._allow_unsafe = allow_unsafe
        self._master = _master_of(address, timeout)
        pool = open_pool(
            address, self._master, self._check, connections=connections, timeout=timeout
        )
        self._redis = Redis.from_pool(pool)
        self._closing: asyncio.Task[None] | None = None
        self.findings: tuple[Finding, ...] = ()

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
        if self._master.can_move:
            script = script.on_masters
        with translated():
            for _ in range(_REDIRECTIONS):
                try:
                    return await self._on_node(script, keys, arguments)
                except MovedError:
                    continue  # certainly nothing ran, and by now the next node is known
            return await self._on_node(script, keys, arguments)

    async def _on_node(
        self, script: Script, keys: Sequence[bytes], arguments: Sequence[Argument]
    ) -> Reply:
        try:
            return await self._run("EVALSHA", script.sha, keys, arguments)
        except NoScriptError:
            # The server is another one, has restarted or was told to forget: nothing ran.
            return await self._run("EVAL", script.text, keys, arguments)

    async def _run(
        self, command: str, script: bytes, keys: Sequence[bytes], arguments: Sequence[Argument]
    ) -> Reply:
        execute = cast(Callable[..., Awaitable[Reply]], self._redis.execute_command)
        return await execute(command, script, len(keys), *keys, *arguments)

    async def _check(self, ask: Ask) -> None:
        """Look at a server before it is used."""
        server = await examine(ask)
        if not server.is_supported:
            raise RefusedError(SchemaError("Redis 6.2 or later is needed"))
        if not server.is_master:
            raise RefusedError(UnavailableError("the store does not serve now: it is a replica"))
        if server.findings and not self._allow_unsafe:
            advice = "; ".join(finding.advice for finding in server.findings)
            text = f"this Redis may lose acknowledged writes: {advice}"
            raise RefusedError(UnsafeStoreError(text))
        self.findings = server.findings

    async def close(self) -> None:
        """Close all connections, also when whoever closes them is cancelled meanwhile."""
        if self._closing is None:
            self._closing = asyncio.get_running_loop().create_task(self._close())
        with translated():
            await asyncio.shield(self._closing)

    async def _close(self) -> None:
        try:
            await self._redis.aclose()
        finally:
            await self._master.close()


def _master_of(address: Address, timeout: float) -> Master:
    match address.kind:
        case Kind.SERVER:
            return OneServer(address.nodes[0])
        case Kind.SENTINELS:
            return SentinelsMaster(address, timeout)
        case Kind.CLUSTER:
            return SlotMaster(address, Layout(address.namespace).version, timeout)


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
