"""Running a replay for the command line: open what it needs, show how far it is."""

import gc
from collections.abc import Callable, Iterable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from holdfast_agents.logs import build_logger
from holdfast_agents.replay import (
    BadLine,
    Comparison,
    LaterVersionError,
    LogEntry,
    Replayer,
    ReplayError,
    Report,
    Target,
    open_bus_target,
    open_store_target,
    read_entries,
)
from holdfast_agents.settings import Settings
from holdfast_backends import StorageError
from holdfast_protocol.errors import HoldfastError

from .addresses import check_backend, check_reachable_bus
from .common import ExitCode, console, fail
from .options import service_options

_YOUNG_OBJECTS: Final = 100_000


@dataclass(frozen=True, slots=True)
class Job:
    """What to replay, where, and how.

    Args:
        speed: how many times as fast as recorded; None is as fast as possible.
        strict: whether a broken line ends it.
    """

    log: Path
    bus: str | None
    backend: str
    compare: bool
    ignore: tuple[str, ...]
    speed: float | None
    strict: bool = False


async def replay_log(job: Job, settings: Settings, *, quiet: bool) -> Report:
    """Replay a log; the end of the command where that cannot be done."""
    comparison = _comparison(job) if job.compare else None
    _spare_the_collector()
    try:
        size = job.log.stat().st_size
        async with AsyncExitStack() as stack:
            target = await _target(stack, job, settings)
            lines = stack.enter_context(job.log.open("rb"))
            advance = stack.enter_context(_progress(size, quiet=quiet))
            replayer = Replayer(target, comparison=comparison, speed=job.speed, on_progress=advance)
            return await replayer.run(_checked(read_entries(lines), strict=job.strict))
    except LaterVersionError as error:
        fail(f"{job.log}: {error}", ExitCode.USAGE)
    except ReplayError as error:
        fail(f"{job.log}: {error}")
    except StorageError as error:
        fail(f"the backend cannot be opened: {error.message}")
    except HoldfastError as error:
        fail(error.message)
    except OSError as error:
        fail(f"{job.log} cannot be read: {error.strerror or error}", ExitCode.USAGE)


def _spare_the_collector() -> None:
    """Have the garbage collector look less often, and never at what stays anyway: a replay makes
    thousands of objects that hold no cycles."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, 20, 50)


def _checked(
    entries: Iterable[LogEntry | BadLine], *, strict: bool
) -> Iterator[LogEntry | BadLine]:
    for entry in entries:
        if strict and isinstance(entry, BadLine):
            raise ReplayError(f"line {entry.number} is broken: {entry.reason}")
        yield entry


def _comparison(job: Job) -> Comparison:
    try:
        return Comparison(job.ignore)
    except ValueError as error:
        fail(f"--ignore: {error}", ExitCode.USAGE)


async def _target(stack: AsyncExitStack, job: Job, settings: Settings) -> Target:
    if job.bus is not None:
        check_reachable_bus(job.bus, settings.namespace)
        return await stack.enter_async_context(open_bus_target(job.bus, settings.namespace))
    check_backend(job.backend)
    options = service_options(settings, build_logger("warning", settings.log_format))
    return await stack.enter_async_context(open_store_target(job.backend, options))


@contextmanager
def _progress(size: int, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    """A bar on stderr, where that is a terminal; what it gives is called with bytes."""
    out = console(stderr=True)
    columns = (TextColumn("replaying"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    hidden = quiet or not out.is_terminal
    with Progress(*columns, console=out, transient=True, disable=hidden) as progress:
        task = progress.add_task("replaying", total=size)
        yield lambda done: progress.advance(task, done)
