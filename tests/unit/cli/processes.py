"""The `holdfast` command: inside this process, and as one of its own, watched by what it says."""

import asyncio
import json
import logging
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from typer.testing import CliRunner

from holdfast_agents.cli.app import app

_COMMAND = [sys.executable, "-c", "from holdfast_agents.cli import main; main()"]
_PATIENCE = 60.0  # seconds, for a process on a busy machine

Line = dict[str, Any]


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without settings of Holdfast."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_")}
    return {**kept, **(extra or {})}


@dataclass(frozen=True)
class Finished:
    """A command that has ended."""

    returncode: int
    stdout: str
    stderr: str


def holdfast(
    *arguments: str, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Finished:
    """Run a command inside this process, which must not be running an event loop."""
    loggers = [logging.getLogger(name) for name in ("aiormq", "holdfast")]
    levels = [logger.level for logger in loggers]
    with mock.patch.dict(os.environ, clean_environment(env), clear=True), chdir(cwd or "."):
        result = CliRunner().invoke(app, arguments, prog_name="holdfast")
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Finished(result.exit_code, result.stdout, result.stderr)


async def holdfast_async(
    *arguments: str, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Finished:
    """Run a command as a process, beside a running event loop."""
    process = await asyncio.create_subprocess_exec(
        *_COMMAND,
        *arguments,
        env=clean_environment(env),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    async with asyncio.timeout(_PATIENCE):
        stdout, stderr = await process.communicate()
    return Finished(await process.wait(), stdout.decode(), stderr.decode())


class Served:
    """A running `holdfast serve`, and the log lines it has written."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.lines: list[Line] = []
        self._news = asyncio.Condition()
        self._reader = asyncio.create_task(self._read())

    def signal(self, number: int) -> None:
        """Send a signal to it."""
        self._process.send_signal(number)

    async def said(self, event: str) -> Line:
        """The first log line whose event begins so, as soon as it is there."""
        async with asyncio.timeout(_PATIENCE), self._news:
            while True:
                for line in self.lines:
                    if line["event"].startswith(event):
                        return line
                if self._reader.done():
                    raise AssertionError(f"it ended without saying {event!r}: {self.lines}")
                await self._news.wait()

    async def ended(self) -> int:
        """Its exit status."""
        async with asyncio.timeout(_PATIENCE):
            await self._reader
            return await self._process.wait()

    async def close(self) -> None:
        """End it, whatever it does."""
        if self._process.returncode is None:
            self._process.kill()
        await self.ended()

    async def _read(self) -> None:
        assert self._process.stderr is not None
        async for text in self._process.stderr:
            async with self._news:
                self.lines.append(_parsed(text.decode()))
                self._news.notify_all()
        async with self._news:
            self._news.notify_all()


def _parsed(text: str) -> Line:
    try:
        line: Line = json.loads(text)
    except json.JSONDecodeError:
        line = {"event": text.strip()}
    return line


@asynccontextmanager
async def serving(
    *arguments: str, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> AsyncIterator[Served]:
    """A `holdfast serve` that is ended with the block."""
    process = await asyncio.create_subprocess_exec(
        *_COMMAND,
        "serve",
        *arguments,
        env=clean_environment(env),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    served = Served(process)
    try:
        yield served
    finally:
        await served.close()
