"""A disk that fills up under load, stays full for a while, and has room again."""

import asyncio
import errno
import os
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from time import monotonic
from typing import Final

from tests.chaos.faults.contract import Fault, Strike

Recover = Callable[[], Awaitable[object]]
"""Brings back whatever a fault hit, and returns when it serves; nothing to do where it does."""

_PIECE: Final = 64 * 1024
_REFILLED: Final = 0.05  # seconds: whoever meets a full disk may give some of it back


async def nothing() -> None:
    """Where nobody has to bring anything back."""


class SmallDisk:
    """A file system of its own that can be filled; made by `small_disk`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        """Take all the room that is left."""
        with self._ballast.open("ab", buffering=0) as ballast:
            size = _PIECE
            while size:
                try:
                    ballast.write(bytes(size))
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    size //= 16

    def free(self) -> None:
        """Give it back."""
        self._ballast.unlink(missing_ok=True)


@contextmanager
def small_disk(folder: Path, mebibytes: int, *, owner: int | None = None) -> Iterator[SmallDisk]:
    """Mount one at a folder, which is made where it is missing; unmounted at the end.

    `owner` is the id of the user whom it belongs to.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    user = os.geteuid() if owner is None else owner
    options = f"size={mebibytes}m,mode=0700,uid={user}"
    _run("mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder))
    try:
        yield SmallDisk(folder)
    finally:
        # Lazily: a process that is about to end may hold a file for a moment.
        _run("umount", "--lazy", str(folder))


class FullDisk(Fault):
    """No room on a disk for some seconds.

    Args:
        disk: what is filled.
        of: whose it is; a part of the kind.
        seconds: how long it stays full.
        recover: brings the server on it back when there is room again.
        press: called once while it is full, to have the server write more than its files hold.
    """

    def __init__(
        self,
        disk: SmallDisk,
        of: str,
        *,
        seconds: float = 2.0,
        recover: Recover = nothing,
        press: Recover = nothing,
    ) -> None:
        self._disk = disk
        self._of = of
        self._seconds = seconds
        self._recover = recover
        self._press = press

    @property
    def kind(self) -> str:
        """As `Fault.kind`."""
        return f"fill the disk of {self._of}"

    async def strike(self, random: Random) -> Strike:
        """As `Fault.strike`."""
        struck_at = monotonic()
        try:
            await self._keep_full(struck_at + self._seconds * random.uniform(0.75, 1.25))
        finally:
            await asyncio.to_thread(self._disk.free)
            await self._recover()
        return Strike(self.kind, struck_at, monotonic(), self._of)

    async def _keep_full(self, until: float) -> None:
        pressed, half = False, (monotonic() + until) / 2
        while monotonic() < until:
            await asyncio.to_thread(self._disk.fill)
            if not pressed and monotonic() > half:
                pressed = True
                with suppress(Exception):  # it is there to fail
                    await self._press()
            await asyncio.sleep(_REFILLED)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=10.0)
