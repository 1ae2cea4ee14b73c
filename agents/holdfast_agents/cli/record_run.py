"""Recording for the command line: read the journal, show how far it is, put the file in place."""

import asyncio
import os
import re
import signal
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Final

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from holdfast_agents.replay import LaterVersionError, Recorded, Recorder, Selection
from holdfast_protocol.bus.contract import Bus
from holdfast_protocol.codec import compact_json
from holdfast_protocol.errors import HoldfastError
from holdfast_protocol.times import format_time, parse_time, utc_now

from .common import ExitCode, console, fail, reached_bus

_AGO: Final = re.compile(r"([0-9]{1,9})([smhd])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


@dataclass(frozen=True, slots=True)
class Job:
    """What to record, and where to."""

    bus: str
    namespace: str
    out: Path
    since: datetime | None
    agent: str | None
    raw: bool
    strict: bool
    follow: bool
    force: bool


def parse_since(text: str) -> datetime:
    """The moment that is meant; the end of the command (2) where there is none."""
    ago = _AGO.fullmatch(text)
    try:
        if ago is not None:
            return utc_now() - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        return parse_time(text)
    except (ValueError, OverflowError):
        fail(
            f"--since: {text!r} is neither an RFC 3339 time nor a length such as 15m or 2h",
            ExitCode.USAGE,
        )


async def record_journal(job: Job, *, quiet: bool) -> Recorded:
    """Record; the end of the command where that cannot be done, and then no file is left."""
    try:
        async with reached_bus(job.bus, job.namespace) as bus:
            with _temporary(job.out) as (file, keep):
                recorded = await _recorded(bus, file, job, quiet=quiet)
                _check(recorded, job)
                keep(job.force)
                return recorded
    except LaterVersionError as error:
        fail(f"the journal cannot be read: {error}", ExitCode.USAGE)
    except HoldfastError as error:
        fail(error.message)
    except FileExistsError:
        fail(f"--out: {job.out} exists by now; --force overwrites it", ExitCode.USAGE)
    except OSError as error:
        fail(f"{job.out} cannot be written: {error.strerror or error}", ExitCode.USAGE)


async def _recorded(bus: Bus, file: IO[bytes], job: Job, *, quiet: bool) -> Recorded:
    recorder = Recorder(file, Selection(job.since, job.agent, job.raw))
    with _progress(quiet=quiet) as show:
        async with _until_stopped(bus.read_journal(since=job.since, follow=job.follow)) as chunks:
            is_first = True
            async for chunk in chunks:
                recorder.take(chunk)
                show(recorder.recorded)
                if is_first and job.follow and not quiet:
                    typer.echo(
                        "following the journal; Ctrl-C ends it and writes the file", err=True
                    )
                is_first = False
    return recorder.finish()


def _check(recorded: Recorded, job: Job) -> None:
    if recorded.broken and job.strict:
        bad = recorded.bad_lines[0]
        fail(f"line {bad.number} of the journal is no exchange: {bad.reason}; nothing was written")
    if not recorded.exchanges:
        of = "" if job.agent is None else f" of {job.agent}"
        since = "" if job.since is None else f" since {format_time(job.since)}"
        fail(
            f"the journal holds no exchange{of}{since}: agents keep one where `holdfast serve` "
            f"runs with --journal (namespace {job.namespace})"
        )


# -- reading until told to stop ----------------------------------------------------------------


@asynccontextmanager
async def _until_stopped(chunks: AsyncIterator[bytes]) -> AsyncIterator[AsyncIterator[bytes]]:
    """The chunks up to the last, or up to a signal: what was read until then is kept."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM)
    for number in numbers:
        loop.add_signal_handler(number, stop.set)
    try:
        async with aclosing(_stoppable(chunks, stop)) as stoppable:
            yield stoppable
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


async def _stoppable(
    chunks: AsyncIterator[bytes], stop: asyncio.Event
) -> AsyncGenerator[bytes, None]:
    stopping = asyncio.ensure_future(stop.wait())
    try:
        while not stop.is_set():
            following = asyncio.ensure_future(anext(chunks, None))
            try:
                await asyncio.wait((following, stopping), return_when=asyncio.FIRST_COMPLETED)
            finally:
                if not following.done():
                    following.cancel()
                    await asyncio.gather(following, return_exceptions=True)
            if following.cancelled():
                return
            chunk = following.result()
            if chunk is None:
                return
            yield chunk
    finally:
        stopping.cancel()
        if isinstance(chunks, AsyncGenerator):
            await chunks.aclose()


# -- the file ----------------------------------------------------------------------------------


@contextmanager
def _temporary(out: Path) -> Iterator[tuple[IO[bytes], Callable[[bool], None]]]:
    """A file beside the wanted one, and what puts it in place; otherwise it is removed."""
    number, name = tempfile.mkstemp(prefix=f".{out.name}.", suffix=".part", dir=out.parent)
    path = Path(name)
    try:
        with os.fdopen(number, "wb") as file:

            def keep(overwrite: bool) -> None:
                file.flush()
                os.fsync(file.fileno())
                path.chmod(0o666 & ~_umask())
                if out.exists() and not overwrite:
                    raise FileExistsError
                path.replace(out)

            yield file, keep
    finally:
        path.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


# -- what is shown -----------------------------------------------------------------------------


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Callable[[Recorded], None]]:
    """A line on stderr, where that is a terminal."""
    out = console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    hidden = quiet or not out.is_terminal
    with Progress(*columns, console=out, transient=True, disable=hidden) as progress:
        task = progress.add_task("recording", total=None)

        def show(recorded: Recorded) -> None:
            size = recorded.bytes / 1_000_000
            told = f"recording: {recorded.exchanges:,} exchanges, {size:,.1f} MB"
            progress.update(task, description=told)

        yield show


def print_recorded(recorded: Recorded, job: Job, *, as_json: bool) -> None:
    """What was recorded on stdout; what was wrong on stderr."""
    first = "" if recorded.first is None else format_time(recorded.first)
    last = "" if recorded.last is None else format_time(recorded.last)
    if as_json:
        fields: dict[str, object] = {
            "file": str(job.out),
            "exchanges": recorded.exchanges,
            "bytes": recorded.bytes,
            "first": first,
            "last": last,
            "agents": dict(recorded.agents),
            "repeats": recorded.repeats,
            "put_right": recorded.put_right,
            "broken": recorded.broken,
            "bad_lines": [{"line": bad.number, "reason": bad.reason} for bad in recorded.bad_lines],
        }
        typer.echo(compact_json(fields).decode())
        return
    for bad in recorded.bad_lines:
        typer.echo(f"warning: line {bad.number} of the journal is broken: {bad.reason}", err=True)
    if (more := recorded.broken - len(recorded.bad_lines)) > 0:
        typer.echo(f"warning: {more:,} more lines are broken", err=True)
    agents = ", ".join(f"{name} {count:,}" for name, count in sorted(recorded.agents.items()))
    typer.echo(f"recorded {recorded.exchanges:,} exchanges ({agents}) into {job.out}")
    typer.echo(f"from {first} to {last}")
    if recorded.repeats:
        typer.echo(f"left out {recorded.repeats:,} that stood in the journal twice")
