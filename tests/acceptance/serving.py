"""The real `holdfast` command in processes of its own."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PATIENCE = 30.0  # seconds: a bound for what must happen, never a pause
HOLDFAST = Path(sys.executable).with_name("holdfast")


def clean_environment(**settings: str) -> dict[str, str]:
    """This process's environment with only these settings of Holdfast."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("HOLDFAST_")}
    return inherited | settings


async def run_holdfast(*arguments: str, cwd: Path | None = None) -> str:
    """What the command prints when it exits with 0."""
    return await asyncio.to_thread(_run, [str(HOLDFAST), *arguments], cwd)


def _run(command: list[str], cwd: Path | None) -> str:
    done = subprocess.run(
        command,
        cwd=cwd,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@dataclass
class Serving:
    """One `holdfast serve`: started, killed, stopped and started again by a test."""

    arguments: Sequence[str]
    settings: Mapping[str, str] = field(default_factory=dict)
    log: list[dict[str, Any]] = field(default_factory=list)
    _process: subprocess.Popen[str] | None = None
    _reader: threading.Thread | None = None
    _logged: threading.Condition = field(default_factory=threading.Condition)

    @property
    def pid(self) -> int:
        """Of the process that runs."""
        assert self._process is not None, "it does not run"
        return self._process.pid

    async def has_ended(self, within: float = 0.0) -> bool:
        """Whether it ended by itself, or was killed by somebody else, until so many seconds."""
        assert self._process is not None, "it does not run"
        try:
            await asyncio.to_thread(self._process.wait, within)
        except subprocess.TimeoutExpired:
            return False
        return True

    async def start(self) -> None:
        """Start it, and wait until it says that it is ready."""
        assert self._process is None, "it runs already"
        ready = self._launch()
        await asyncio.to_thread(ready.wait, PATIENCE)
        assert self._process is not None
        assert self._process.poll() is None, f"it ended at its start: {self.log[-3:]}"
        assert ready.is_set(), f"it is not ready in time: {self.log[-3:]}"

    async def said(self, event: str) -> None:
        """Until it has logged an event."""

        def logged() -> bool:
            return any(entry.get("event") == event for entry in self.log)

        def wait() -> bool:
            with self._logged:
                return self._logged.wait_for(logged, PATIENCE)

        assert await asyncio.to_thread(wait), f"it did not say: {event}"

    async def kill(self) -> None:
        """SIGKILL: no handler runs, nothing is finished."""
        assert await self.end(signal.SIGKILL) == -signal.SIGKILL

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal; the exit status."""
        assert self._process is not None, "it does not run"
        assert self._reader is not None
        process, self._process = self._process, None
        process.send_signal(number)
        try:
            return await asyncio.to_thread(process.wait, PATIENCE)
        finally:
            process.kill()
            await asyncio.to_thread(self._reader.join)

    async def close(self) -> None:
        """Whatever a test left running."""
        if self._process is not None:
            await self.end(signal.SIGKILL)

    def _launch(self) -> threading.Event:
        ready = threading.Event()
        self._process = subprocess.Popen(
            [HOLDFAST, "serve", *self.arguments],
            env=clean_environment(**self.settings),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, args=(self._process, ready))
        self._reader.start()
        return ready

    def _read(self, process: subprocess.Popen[str], ready: threading.Event) -> None:
        assert process.stderr is not None
        with process.stderr:
            for line in process.stderr:
                try:
                    entry = json.loads(line)
                except ValueError:
                    entry = {"text": line.rstrip()}
                with self._logged:
                    self.log.append(entry)
                    self._logged.notify_all()
                if entry.get("event") == "ready":
                    ready.set()
        process.wait()
        ready.set()  # it ended: nobody may wait for it


@asynccontextmanager
async def serving(
    bus: str, backend: str, namespace: str, **settings: str
) -> AsyncIterator[Serving]:
    """A process that is ready, killed at the end where the test left it running."""
    arguments = ["--bus", bus, "--backend", backend, "--namespace", namespace]
    async with serving_with(arguments, **settings) as process:
        yield process


@asynccontextmanager
async def serving_with(arguments: Sequence[str], **settings: str) -> AsyncIterator[Serving]:
    """The same, by the arguments of its command line."""
    process = Serving(arguments, settings)
    try:
        await process.start()
        yield process
    finally:
        await process.close()
