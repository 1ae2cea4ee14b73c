"""Processes as the kernel shows them: children, memory, ends."""

import asyncio
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

_POLL: Final = 0.01  # seconds
_LONGEST: Final = 30.0  # seconds until a killed process has to be gone
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


class StillThereError(Exception):
    """A process that was killed does not go away."""


def children_of(pid: int) -> list[int]:
    """The processes whose parent it is."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found.extend(map(int, task.read_text().split()))
    return found


def command_of(pid: int) -> bytes:
    """What it calls itself; nothing when there is no such process."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def resident_bytes(pid: int) -> int | None:
    """The memory that a process has in use; None when there is no such process."""
    try:
        fields = Path(f"/proc/{pid}/statm").read_text().split()
    except OSError:
        return None
    return int(fields[1]) * _PAGE


async def end_of(pid: int) -> None:
    """Until a child of this process has ended, and has been waited for."""
    give_up_at = time.monotonic() + _LONGEST
    while True:
        try:
            ended, _status = os.waitpid(pid, os.WNOHANG)  # noqa: ASYNC222  it never waits
        except ChildProcessError:
            return  # `subprocess` has waited for it already
        if ended:
            return
        await _pause(give_up_at, pid)


async def gone(pids: Iterable[int]) -> None:
    """Until none of these processes runs any more."""
    give_up_at = time.monotonic() + _LONGEST
    for pid in pids:
        while is_alive(pid):
            await _pause(give_up_at, pid)


def is_alive(pid: int) -> bool:
    """Whether a process runs: one that only waits to be waited for does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


async def _pause(give_up_at: float, pid: int) -> None:
    if time.monotonic() > give_up_at:
        raise StillThereError(f"pid {pid} is still there after {_LONGEST:.0f} s")
    await asyncio.sleep(_POLL)
