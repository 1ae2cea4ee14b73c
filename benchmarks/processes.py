"""Server processes: each an operating system's process of its own, as in production.

A process is started by the benchmark and ended by it, by its id, whatever happens in between.
It is in a session of its own, so that Ctrl-C on a terminal reaches the benchmark alone, which
then ends its processes.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from .environment import OUTPUT

_ROOT = Path(__file__).resolve().parent.parent
_STOP_SECONDS = 20.0


class ServerProcessError(Exception):
    """A server process did not come up, or died."""


@asynccontextmanager
async def server(
    name: str, arguments: Sequence[str], environment: Mapping[str, str] | None = None
) -> AsyncIterator["Server"]:
    """`python <arguments>` as a process; ended at the exit.

    What it prints goes to a file in the output directory, which an error names.
    """
    OUTPUT.mkdir(exist_ok=True)
    log = OUTPUT / f"{name}.log"
    with log.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *arguments,
            cwd=_ROOT,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    running = Server(name, process, log)
    try:
        yield running
    finally:
        await running.stop()


class Server:
    """A running server process."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self._name = name
        self._process = process
        self._log = log

    @property
    def pid(self) -> int:
        """Its id."""
        return self._process.pid

    async def wait_until(self, ready: "asyncio.Future[None]") -> None:
        """Return when `ready` is done.

        Raises:
            ServerProcessError: the process ended first, or is not ready in time.
        """
        ended = asyncio.ensure_future(self._process.wait())
        either: set[asyncio.Future[Any]] = {ready, ended}
        try:
            done, _ = await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if ready not in done:
                raise ServerProcessError(self._trouble("ended at once"))
            try:
                ready.result()
            except TimeoutError:
                raise ServerProcessError(self._trouble("is not ready in time")) from None
        finally:
            for future in (ready, ended):
                future.cancel()
            await asyncio.gather(ready, ended, return_exceptions=True)

    def resident_mib(self) -> float:
        """Its resident memory, MiB."""
        status = Path(f"/proc/{self.pid}/status")
        if status.exists():
            for line in status.read_text().splitlines():
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) / 1024
        told = subprocess.run(
            ["ps", "-o", "rss=", "-p", str(self.pid)], capture_output=True, text=True, check=True
        )
        return int(told.stdout) / 1024

    async def stop(self) -> None:
        """End it: politely, then, after a while, for certain."""
        if self._process.returncode is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    def _trouble(self, what: str) -> str:
        tail = self._log.read_text(errors="replace").splitlines()[-5:]
        return f"the process {self._name} {what}; {self._log} ends: " + " | ".join(tail)
