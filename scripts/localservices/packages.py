"""Binaries: where they are, and how they come onto a Debian machine when we may install them."""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from .model import ServiceError

_POLICY = Path("/usr/sbin/policy-rc.d")
_DPKG = Path("/var/lib/dpkg")
_TOOLS = {"strace": "strace"}  # program → Debian package
_INSTALL = ("apt-get", "install", "--yes", "--no-install-recommends")


def find(program: str, *directories: Path) -> Path | None:
    """The path of `program`: the first of `directories` that has it, else the PATH."""
    for directory in directories:
        if os.access(directory / program, os.X_OK):
            return directory / program
    found = shutil.which(program)
    return Path(found) if found else None


def install(packages: Sequence[str], say: Callable[[str], None]) -> None:
    """Install Debian packages without starting their system services.

    Raises ServiceError with the command to run when this is no machine or user to do it.
    """
    if not packages:
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise ServiceError(
            "servers for the tests are missing and can't be installed from here. Run:\n\n"
            f"    {_command(packages)}\n\n"
            "or start Docker, or set HOLDFAST_TEST_AMQP_URL, HOLDFAST_TEST_POSTGRES_URL and "
            "HOLDFAST_TEST_REDIS_URL to servers of your own."
        )
    say(f"installing {' '.join(packages)} with apt-get (their system services stay off)")
    with _one_at_a_time(), _services_stay_off():
        _apt("apt-get", "update", "--quiet=2")
        _apt(*_INSTALL, "--quiet=2", *packages)


def install_tools(say: Callable[[str], None]) -> None:
    """Install what only some tests need; where that cannot be done, say so and go on.

    Those tests then skip, or fail where servers are required, and tell what is missing.
    """
    missing = [package for program, package in _TOOLS.items() if find(program) is None]
    if not missing or not sys.platform.startswith("linux"):
        return
    try:
        install(missing, say)
    except ServiceError:
        say(f"missing for some tests: {', '.join(missing)}; run: {_command(missing)}")


def _command(packages: Sequence[str]) -> str:
    return f"sudo {' '.join(_INSTALL)} {' '.join(packages)}"


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Tests in several processes may miss the same package; apt-get waits for no other one."""
    directory = os.open(_DPKG, os.O_RDONLY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        yield
    finally:
        os.close(directory)


@contextmanager
def _services_stay_off() -> Iterator[None]:
    """Debian starts a service on installation unless this policy file forbids it."""
    ours = not _POLICY.exists()
    if ours:
        _POLICY.write_text("#!/bin/sh\nexit 101\n")
        _POLICY.chmod(0o755)
    try:
        yield
    finally:
        if ours:
            _POLICY.unlink(missing_ok=True)


def _apt(*command: str) -> None:
    # RUNLEVEL=1 says "single user": a second reason for Debian not to start a service, for
    # machines whose own policy file would allow it.
    env = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    done = subprocess.run(
        command,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise ServiceError(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}")
