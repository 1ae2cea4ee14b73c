"""What a fault needs of the machine: its absence is told, never passed over in silence."""

import shutil
import subprocess
import sys
import tempfile
from typing import NoReturn

import pytest

from localservices.model import ServiceError
from tests.chaos.servers import install_all
from tests.missing import missing

_TIMEOUT = 10.0  # seconds, for one command


class NotHereError(Exception):
    """The machine, or this user, cannot inject a fault; the message says why, and what to do."""


def require(what: str) -> None:
    """Skip or fail the test, as `missing` says, when a fault cannot be injected here.

    Args:
        what: `mount`, `strace` or `servers`.
    """
    try:
        {"mount": check_mount, "strace": check_strace, "servers": check_servers}[what]()
    except NotHereError as error:
        # Everybody has `mount`, and strace that is there may not be allowed to attach.
        permission = what == "mount" or (what == "strace" and shutil.which(what) is not None)
        not_here(error, permission=permission)


def not_here(error: NotHereError, *, permission: bool = False) -> NoReturn:
    """The same, where that is known; other systems than Linux need no fault. See `missing`."""
    if not sys.platform.startswith("linux"):
        pytest.skip(f"this fault is for Linux: {error}")
    missing(str(error), permission=permission)


def check_mount() -> None:
    """Whether small file systems can be mounted. Raises NotHereError."""
    with tempfile.TemporaryDirectory(prefix="holdfast-mount-") as folder:
        _run("a full disk", "mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder)
        _run("a full disk", "umount", folder)


def check_strace() -> None:
    """Whether strace may attach to a process that is no child of it. Raises NotHereError."""
    with subprocess.Popen(["sleep", "60"]) as other:
        try:
            # It would stay until the other ends; `timeout` ends it, which is no failure.
            command = ["timeout", "--signal=INT", "--kill-after=2", "0.3"]
            command += ["strace", "-p", str(other.pid)]
            _run("an error of a system call", *command, good=(0, 124, 130, 137))
        finally:
            other.kill()


def check_servers() -> None:
    """Whether the programs of the servers are here, or could be installed. Raises NotHereError."""
    try:
        install_all()
    except ServiceError as error:
        raise NotHereError(str(error)) from error


def _run(fault: str, *command: str, good: tuple[int, ...] = (0,)) -> None:
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            timeout=_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotHereError(f"{fault} cannot be injected here: {error}") from error
    if done.returncode not in good:
        said = " ".join(done.stderr.split())
        raise NotHereError(f"{fault} cannot be injected here: {' '.join(command)}: {said}")
