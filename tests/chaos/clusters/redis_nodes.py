"""Redis processes of a test's own, on loopback ports, each with its data in a directory."""

import asyncio
import itertools
import os
import shutil
import signal
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any, cast

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from tests.missing import missing

PASSWORD = "kept-secret"
SAFE = ("appendonly yes", "appendfsync always", 'save ""', "maxmemory-policy noeviction")
REPLICATED = (
    *SAFE,
    f"requirepass {PASSWORD}",
    f"masterauth {PASSWORD}",
    "repl-diskless-sync-delay 0",
    "repl-ping-replica-period 1",
)
_BUS_OFFSET = 10_000  # a cluster's nodes talk on the port that is so much higher
_copies = itertools.count(1)
_ports = itertools.count(20_000 + os.getpid() % 500 * 20)


class RedisNode:
    """A redis-server, or a sentinel, which is the same program.

    Args:
        directory: its own; its configuration is written there, and rewritten by failovers.
        lines: its configuration, without port and directory.
    """

    def __init__(
        self, directory: Path, lines: Sequence[str], *, password: str, sentinel: bool = False
    ) -> None:
        self.port = _free_port()
        self._directory = directory
        self._password = password
        self._mode = ("--sentinel",) if sentinel else ()
        self._process: asyncio.subprocess.Process | None = None
        directory.mkdir(parents=True)
        own = [f"port {self.port}", "bind 127.0.0.1", f'dir "{directory}"']
        (directory / "redis.conf").write_text("\n".join([*own, *lines, ""]))

    @property
    def is_running(self) -> bool:
        """Whether its process is there; it may be stopped."""
        return self._process is not None

    async def start(self) -> None:
        """Start it, and wait until it answers."""
        binary = shutil.which("redis-server")
        if binary is None:
            missing("redis-server is not on the path; run: scripts/services up")
        assert self._process is None, "it runs already"
        with (self._directory / "log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                binary, self._directory / "redis.conf", *self._mode, stdout=log, stderr=log
            )
        await until(self._answers, 20, "a redis-server answers")

    async def ask(self, *words: str | int) -> Any:
        """What it answers to a command."""
        client = Redis(
            host="127.0.0.1",
            port=self.port,
            password=self._password,
            protocol=2,
            socket_timeout=5,
            retry=Retry(NoBackoff(), 0),
        )
        async with client:
            execute = cast(Callable[..., Awaitable[Any]], client.execute_command)
            return await execute(*words)

    async def facts(self, section: str) -> dict[str, str]:
        """A section of what it tells by INFO."""
        return {name: str(value) for name, value in (await self.ask("INFO", section)).items()}

    def send(self, number: signal.Signals) -> None:
        """Send its process a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def copy(self) -> "RedisNode":
        """One by itself, of nobody's group, with what this one has on its disk."""
        directory = self._directory.with_name(f"{self._directory.name}-copy-{next(_copies)}")
        copy = RedisNode(directory, (*SAFE, f"requirepass {PASSWORD}"), password=PASSWORD)
        own = shutil.ignore_patterns("*.conf", "log")
        shutil.copytree(self._directory, directory, ignore=own, dirs_exist_ok=True)
        return copy

    async def kill(self) -> None:
        """SIGKILL, where it runs; its data stays."""
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()

    async def _answers(self) -> bool:
        try:
            return bool(await self.ask("PING"))
        except RedisError:
            return False


async def until(condition: Callable[[], Awaitable[bool]], seconds: float, what: str) -> float:
    """Wait until something of another process is so; how long it took."""
    begun = monotonic()
    while not await condition():
        waited = monotonic() - begun
        assert waited < seconds, f"after {waited:.1f} s it is not so that {what}"
        await asyncio.sleep(0.02)
    return monotonic() - begun


def _free_port() -> int:
    """A free port below those that the system hands out, whose bus port is free too."""
    for port in _ports:
        if _is_free(port) and _is_free(port + _BUS_OFFSET):
            return port
    raise AssertionError("the ports do not end")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
