"""System calls that fail, or kill who makes them, at the n-th time: by strace."""

import asyncio
import os
import signal
import tempfile
from asyncio.subprocess import DEVNULL, Process, create_subprocess_exec
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from time import monotonic
from typing import Final

from tests.chaos.faults.contract import Fault, Strike
from tests.chaos.faults.disks import Recover, nothing

_ENDING: Final = 0.2  # seconds until a strace that lost everybody has ended
_DETACHED: Final = 2.0  # seconds until strace has let go of everybody
_POLL: Final = 0.02  # seconds: a log of another process can only be looked at

WRITES: Final = "write,writev,pwrite64,pwritev"
SYNCS: Final = "fsync,fdatasync"


@dataclass(frozen=True, slots=True)
class Injection:
    """What is injected.

    Args:
        calls: names of system calls, separated by commas.
        result: what becomes of the n-th of them: `error=EIO`, `error=ENOSPC`, `signal=KILL`.
        paths: only where they concern one of these files; all files when there are none.
        highest: the greatest n. Each thread counts its own calls.
    """

    calls: str
    result: str
    paths: Sequence[Path] = ()
    highest: int = 12

    def options(self, number: int) -> list[str]:
        """The arguments of strace that inject it at the n-th call."""
        options = ["-e", f"trace={self.calls}"]
        options += ["-e", f"inject={self.calls}:{self.result}:when={number}"]
        return options + [word for path in self.paths for word in ("-P", str(path))]


class FailCalls(Fault):
    """System calls of running processes fail once each, or kill them.

    Args:
        of: whose they are; a part of the kind.
        pids: tells the processes to attach to; what they fork later is attached to as well.
        injection: what is injected.
        recover: brings back whom it ended.
        patience: seconds to wait for the n-th call, at most.
    """

    def __init__(
        self,
        of: str,
        pids: Callable[[], Sequence[int]],
        injection: Injection,
        *,
        recover: Recover = nothing,
        patience: float = 5.0,
    ) -> None:
        self._of = of
        self._pids = pids
        self._injection = injection
        self._recover = recover
        self._patience = patience
        self.injected = 0
        """How many calls failed, or were the last ones, in all strikes."""

    @property
    def kind(self) -> str:
        """As `Fault.kind`."""
        calls = "syncs" if self._injection.calls == SYNCS else "writes"
        how, _, what = self._injection.result.partition("=")
        return f"{calls} of {self._of} {'end in' if how == 'error' else 'bring'} {what}"

    async def strike(self, random: Random) -> Strike:
        """As `Fault.strike`."""
        options = self._injection.options(random.randint(1, self._injection.highest))
        struck_at = monotonic()
        try:
            await self._inject(options)
        finally:
            await self._recover()
        return Strike(self.kind, struck_at, monotonic(), self._of)

    async def _inject(self, options: Sequence[str]) -> None:
        with tempfile.TemporaryDirectory(prefix="holdfast-strace-") as folder:
            log = Path(folder) / "log"
            pids = self._pids()
            attach = [word for pid in pids for word in ("-p", str(pid))]
            strace = await create_subprocess_exec(
                "strace", "-f", "-o", str(log), *options, *attach, stdout=DEVNULL, stderr=DEVNULL
            )
            try:
                await self._wait_for(strace, log)
            finally:
                await _detached(strace, pids)
                self.injected += self._count(log)

    async def _wait_for(self, strace: Process, log: Path) -> None:
        """Until a call failed, the processes have ended, or patience has."""
        deadline = monotonic() + self._patience
        while monotonic() < deadline and not self._count(log):
            with suppress(TimeoutError):
                async with asyncio.timeout(_POLL):
                    await strace.wait()
                    return

    def _count(self, log: Path) -> int:
        """How many calls failed, or how many processes (or threads) were killed."""
        if not log.exists():
            return 0
        is_error = self._injection.result.startswith("error")
        return log.read_text(errors="replace").count("(INJECTED)" if is_error else "+++ killed by")


async def _detached(strace: Process, pids: Sequence[int]) -> None:
    """End strace; whom it watched goes on."""
    with suppress(TimeoutError):  # it ends by itself with whom it watched, all threads of it
        async with asyncio.timeout(_ENDING):
            await strace.wait()
            return
    for number in (signal.SIGINT, signal.SIGKILL):
        with suppress(ProcessLookupError, TimeoutError):
            strace.send_signal(number)
            async with asyncio.timeout(_DETACHED):
                await strace.wait()
                return
    for pid in pids:
        with suppress(ProcessLookupError):  # by a killed strace it may be left stopped
            os.kill(pid, signal.SIGCONT)
