"""The work of `holdfast dlq`: open the bus, go to the desk, show how far it is."""

import logging
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final, TypeVar

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from holdfast_agents.dead_letters import Choice, DeadLetterDesk
from holdfast_agents.dead_letters import Progress as OnProgress
from holdfast_agents.dead_letters.telling import detail_of
from holdfast_protocol.actions import DeadLetterFilter, DeadLettersPurged, DeadLettersReplayed
from holdfast_protocol.errors import HoldfastError
from holdfast_protocol.limits import MAX_MESSAGE_BYTES

from .common import ExitCode, console, fail, reached_bus, run
from .dlq_show import (
    as_meant,
    json_line,
    print_failures,
    print_letter,
    print_listing,
    printable,
)

T = TypeVar("T")

_UNUSABLE: Final = "there is nobody to ask: use --yes to purge without being asked, or --dry-run"


@dataclass(frozen=True, slots=True)
class Place:
    """Whose dead letters: the broker's URL, and the prefix of its objects."""

    bus: str
    namespace: str


def list_letters(place: Place, chosen: DeadLetterFilter, limit: int, *, as_json: bool) -> None:
    """Print the letters that match."""

    async def work(desk: DeadLetterDesk) -> None:
        with _progress("looking", quiet=as_json) as advance:
            listing = await desk.list(chosen, limit, on_progress=advance)
        if not as_json:
            print_listing(listing)
            return
        for letter in listing.letters:
            typer.echo(json_line(letter))

    _at_desk(place, work)


def show_letter(place: Place, letter_id: str, *, raw: bool, as_json: bool) -> None:
    """Print one letter; its id may be written as it is shown."""

    async def work(desk: DeadLetterDesk) -> None:
        with _progress("looking", quiet=as_json or raw) as advance:
            letter = await desk.show(*as_meant(letter_id), on_progress=advance)
        if raw:
            sys.stdout.buffer.write(letter.body)
            sys.stdout.buffer.flush()
            return
        detail = await detail_of(letter, max_bytes=MAX_MESSAGE_BYTES)
        if as_json:
            typer.echo(json_line(detail))
        else:
            print_letter(letter, detail)

    _at_desk(place, work)


def replay_letters(place: Place, choice: Choice, *, as_json: bool) -> None:
    """Send letters again, and tell how many."""

    async def work(desk: DeadLetterDesk) -> DeadLettersReplayed:
        with _progress("replaying", quiet=as_json) as advance:
            replayed = await desk.replay(choice, advance)
        if not as_json:
            print_failures(replayed.failures)
        return replayed.result

    result = _at_desk(place, work)
    verb = "would replay" if result.dry_run else "replayed"
    done = result.matched if result.dry_run else result.replayed
    _conclude(choice, result, f"{verb} {_letters(done)} of {result.matched:,} that match", as_json)
    if result.failed:
        raise typer.Exit(int(ExitCode.FAILED))


def purge_letters(place: Place, choice: Choice, *, confirmed: bool, as_json: bool) -> None:
    """Remove letters, and tell how many."""
    if not (confirmed or choice.dry_run):
        choice = _agreed(place, choice, quiet=as_json)
    result = _purged(place, choice, quiet=as_json)
    verb = "would remove" if result.dry_run else "removed"
    done = result.matched if result.dry_run else result.purged
    _conclude(choice, result, f"{verb} {_letters(done)}", as_json)


def _agreed(place: Place, choice: Choice, *, quiet: bool) -> Choice:
    """The choice as it was counted, shown and agreed to; the end of the command if it was not."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        fail(_UNUSABLE, ExitCode.USAGE)
    # Without the limit: a walk to the end leaves the letters in their order.
    counted = _purged(place, replace(choice, dry_run=True, limit=None), quiet=quiet)
    count = min(counted.matched, choice.limit or counted.matched)
    if not count:
        # There may be some by now, of which nobody was asked.
        nothing = DeadLettersPurged(matched=0, purged=0, dry_run=False)
        _conclude(choice, nothing, f"removed {_letters(0)}", quiet)
        raise typer.Exit
    if not typer.confirm(f"Remove {_letters(count)} for good?", default=False, err=True):
        fail("nothing was removed")
    # What came since is not what was agreed to.
    return replace(choice, limit=count)


def _purged(place: Place, choice: Choice, *, quiet: bool) -> DeadLettersPurged:
    verb = "counting" if choice.dry_run else "removing"

    async def work(desk: DeadLetterDesk) -> DeadLettersPurged:
        with _progress(verb, quiet=quiet) as advance:
            return await desk.purge(choice, advance)

    return _at_desk(place, work)


def _conclude(
    choice: Choice, result: DeadLettersReplayed | DeadLettersPurged, text: str, as_json: bool
) -> None:
    typer.echo(json_line(result) if as_json else text)
    if choice.ids is not None and not result.matched:
        fail("no dead letter has such an id")


def _at_desk(place: Place, work: Callable[[DeadLetterDesk], Awaitable[T]]) -> T:
    """What comes of the work; the end of the command (1) where it cannot be done."""

    async def opened() -> T:
        async with reached_bus(place.bus, place.namespace) as bus:
            return await work(DeadLetterDesk(bus))

    # What it tells of a letter, nothing else does.
    logging.getLogger("holdfast.dead_letters").setLevel(logging.ERROR)
    try:
        return run(opened())
    except HoldfastError as error:
        fail(printable(_told(error)))


def _told(error: HoldfastError) -> str:
    done = error.details.get("replayed", error.details.get("purged"))
    if not isinstance(done, int) or not done:
        return error.message
    return f"{error.message} (after {_letters(done)}; the same command goes on with the rest)"


def _letters(count: int) -> str:
    return f"{count:,} dead letter" + ("" if count == 1 else "s")


@contextmanager
def _progress(verb: str, *, quiet: bool) -> Iterator[OnProgress]:
    """A bar on stderr, where that is a terminal."""
    out = console(stderr=True)
    columns = (TextColumn(verb), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    hidden = quiet or not out.is_terminal
    with Progress(*columns, console=out, transient=True, disable=hidden) as progress:
        task = progress.add_task(verb, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
