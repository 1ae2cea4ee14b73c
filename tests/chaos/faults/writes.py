"""System calls that fail, or kill who makes them, at the n-th time: by strace."""

import asyncio
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

_ATTACHED: Final = 10.0  # seconds: a bound
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
        return Strike(self.kind, struck_at, monotonic())

    async def _inject(self, options: Sequence[str]) -> None:
        with tempfile.TemporaryDirectory(prefix="holdfast-strace-") as folder:
            log = Path(folder) / "log"
            attach = [word for pid in self._pids() for word in ("-p", str(pid))]
            strace = await create_subprocess_exec(
                "strace", "-f", "-o", str(log), *options, *attach, stdout=DEVNULL, stderr=DEVNULL
            )
            try:
                await self._wait_for(strace, log)
            finally:
                await _detached(strace)
                self.injected += _count(log)

    async def _wait_for(self, strace: Process, log: Path) -> None:
        """Until a call failed, the processes have ended, or patience has."""
        deadline = monotonic() + self._patience
        while monotonic() < deadline and not _count(log):
            with suppress(TimeoutError):
                async with asyncio.timeout(_POLL):
                    await strace.wait()
                    return


def children(pid: int) -> list[int]:
    """A process and those that it started, as the kernel tells them."""
    tasks = Path(f"/proc/{pid}/task/{pid}/children")
    return [pid, *map(int, tasks.read_text().split())]


def _count(log: Path) -> int:
    if not log.exists():
        return 0
    text = log.read_text(errors="replace")
    return text.count("(INJECTED)") + text.count("+++ killed by SIGKILL")


async def _detached(strace: Process) -> None:
    """End strace; whom it watched goes on. SIGKILL would leave them stopped for good."""
    with suppress(ProcessLookupError):  # it ended with whom it watched
        strace.send_signal(signal.SIGINT)
    async with asyncio.timeout(_ATTACHED):
        await strace.wait()
