"""Agent processes: the real command, killed, stopped and started again."""

import asyncio
import os
import shutil
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

PATIENCE: Final = 120.0
"""Seconds within which a process has to be ready: the broker may be away meanwhile."""
_POLL: Final = 0.02  # seconds
_LOG_BYTES: Final = 1024 * 1024  # of a log, before it is put aside; one such is kept
_ROOT: Final = Path(__file__).resolve().parents[2]


class AgentDiedError(Exception):
    """A process ended that nobody killed; the text tells its last lines."""


class Agent:
    """One `holdfast serve`.

    Args:
        backend: the backend's name: sqlite, postgres or redis.
        number: which of the backend's processes it is.
        arguments: of `holdfast serve`.
        settings: HOLDFAST_… for its environment.
        log: where what it says is kept.
        mutant: the defect to plant in it.
    """

    def __init__(
        self,
        backend: str,
        number: int,
        arguments: Sequence[str],
        settings: Mapping[str, str],
        log: Path,
        mutant: str | None = None,
    ) -> None:
        self.backend = backend
        self.number = number
        self.turn = asyncio.Lock()
        """Held by whoever strikes it: it is not killed while it is stopped."""
        self._ready = log.with_suffix(".ready")
        self._command = _command([*arguments, "--ready-file", str(self._ready)], mutant)
        self._environment = _clean_environment() | dict(settings)
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        self._late: str | None = None

    @property
    def name(self) -> str:
        """As a report names it."""
        return f"{self.backend} {self.number}"

    @property
    def pid(self) -> int | None:
        """None while it does not run."""
        process = self._process
        return None if process is None or process.returncode is not None else process.pid

    async def start(self) -> float:
        """Start it; the moment at which it said that it was ready. Raises AgentDiedError.

        One that runs already is killed first.
        """
        await self.kill()
        self._late = None
        self._ready.unlink(missing_ok=True)
        with self._log.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                cwd=_ROOT,
                env=self._environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # a signal to the suite's group is not meant for it
            )
        return await self._until_ready()

    async def kill(self) -> None:
        """SIGKILL; returns when it is gone."""
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()

    def suspend(self) -> None:
        """SIGSTOP."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    def death(self) -> str | None:
        """How it ended by itself or failed to begin, with its last lines; None when it did not."""
        process = self._process
        if self._late is not None:
            return self._late
        if process is None or process.returncode is None:
            return None
        return f"agent {self.name} ended with {process.returncode}:\n{self.last_lines()}"

    def bound_log(self) -> None:
        """Put a long log aside: two of a bounded length are kept."""
        if self._log.exists() and self._log.stat().st_size > _LOG_BYTES:
            shutil.copyfile(self._log, self._log.with_suffix(".log.1"))
            os.truncate(self._log, 0)  # whoever writes appends

    def last_lines(self, count: int = 8) -> str:
        """What it said last."""
        if not self._log.exists():
            return ""
        with self._log.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - 8192))
            return b"\n".join(log.read().splitlines()[-count:]).decode(errors="replace")

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def _until_ready(self) -> float:
        give_up_at = time.monotonic() + PATIENCE
        while True:
            if self._ready.exists():
                return time.monotonic()
            if (death := self.death()) is not None:
                raise AgentDiedError(death)
            if time.monotonic() > give_up_at:
                self._late = f"agent {self.name} is not ready:\n{self.last_lines()}"
                raise AgentDiedError(self._late)
            await asyncio.sleep(_POLL)


def _command(arguments: Sequence[str], mutant: str | None) -> list[str]:
    planting = [] if mutant is None else ["--mutant", mutant]
    return [sys.executable, "-m", "tests.chaos.launch", *planting, "--", "serve", *arguments]


def _clean_environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith("HOLDFAST_")}
