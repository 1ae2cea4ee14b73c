"""Running a replay for the command line: open what it needs, show how far it is."""

from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from holdfast_agents.logs import build_logger
from holdfast_agents.replay import (
    Comparison,
    LaterVersionError,
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


@dataclass(frozen=True, slots=True)
class Job:
    """What to replay, where, and how. `speed` None is as fast as possible."""

    log: Path
    bus: str | None
    backend: str
    compare: bool
    ignore: tuple[str, ...]
    speed: float | None


async def replay_log(job: Job, settings: Settings, *, quiet: bool) -> Report:
    """Replay a log; the end of the command where that cannot be done."""
    comparison = _comparison(job) if job.compare else None
    try:
        size = job.log.stat().st_size
        async with AsyncExitStack() as stack:
            target = await _target(stack, job, settings)
            lines = stack.enter_context(job.log.open("rb"))
            advance = stack.enter_context(_progress(size, quiet=quiet))
            replayer = Replayer(target, comparison=comparison, speed=job.speed, on_progress=advance)
            return await replayer.run(read_entries(lines))
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
