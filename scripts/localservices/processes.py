"""Detached processes: started, recognised again later, and stopped without hitting a stranger."""

import os
import pwd
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from .model import LOOPBACK, Process, ServiceError


def spawn(
    command: Sequence[str | Path],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    user: pwd.struct_passwd | None = None,
) -> Process:
    """Start `command` in its own session, its output appended to `log`.

    It survives the shell and the terminal that started it. Raises ServiceError when the
    program can't be started.
    """
    with log.open("ab") as output:
        try:
            started = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd="/",
                env=None if env is None else dict(env),
                user=user.pw_uid if user else None,
                group=user.pw_gid if user else None,
                extra_groups=[] if user else None,
            )
        except OSError as error:
            raise ServiceError(f"cannot start {command[0]}: {error}") from error
    return recognise(started.pid)


def recognise(pid: int) -> Process:
    """The process that has `pid` now, so that it can be told from a later one."""
    return Process(pid, _identity(pid) or "gone")


def is_running(process: Process) -> bool:
    """Whether this very process, not merely its pid, is alive."""
    return _identity(process.pid) == process.identity


def stop(process: Process, signal_number: int, timeout: float) -> bool:
    """Signal `process` and wait for its end; SIGKILL after `timeout` seconds.

    Returns False when it was not running, in which case nothing is signalled.
    """
    if not is_running(process):
        return False
    for number in (signal_number, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.kill(process.pid, number)
        if _wait_for_end(process, timeout):
            return True
    raise ServiceError(f"pid {process.pid} survived SIGKILL for {timeout:.0f} s")


def free_ports(names: Sequence[str]) -> dict[str, int]:
    """A different free loopback port for each name."""
    with ExitStack() as stack:
        ports = {}
        for name in names:
            listener = stack.enter_context(socket.socket())
            listener.bind((LOOPBACK, 0))
            ports[name] = int(listener.getsockname()[1])
        return ports


def is_free(port: int) -> bool:
    """Whether a server could listen on the loopback `port` now."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def _wait_for_end(process: Process, timeout: float) -> bool:
    deadline = time.monotonic() + timeout
    while is_running(process):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _identity(pid: int) -> str | None:
    """When the process started, as the kernel tells it; None for a dead one or a zombie."""
    if Path("/proc/self/stat").exists():
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return None
        # The command, in brackets, may hold spaces; the state is the first field after it.
        fields = stat.rpartition(")")[2].split()
        return None if fields[0] in "ZX" else f"{_boot()}/{fields[19]}"
    listing = subprocess.run(
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout.strip()
    state, _, started = listing.partition(" ")
    return None if not started or state.startswith("Z") else started.strip()


def _boot() -> str:
    """Start times count from the boot, so a pid of before a reboot must not match."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "boot"
