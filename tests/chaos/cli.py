"""`python -m tests.chaos`: the command line of the fault suite."""

import argparse
import asyncio
import json
import logging
import secrets
import shlex
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Final

import uvloop

from tests.chaos.options import DURABLE, KINDS, Options
from tests.chaos.report import Report
from tests.chaos.run import Run
from tests.chaos.servers import install_all

_KILLS_A_ROUND: Final = 10
_OPERATIONS_A_ROUND: Final = 50_000  # all of a round is held in memory until it is checked
_LOG_BYTES: Final = 4 * 1024 * 1024
_QUIET_BEAT: Final = 15.0  # seconds between two lines where nobody watches a terminal

_HELP: Final = """Real processes die while real messages are asked, and every answer is checked.

It starts a RabbitMQ, a PostgreSQL and a Redis of its own and some processes of `holdfast serve`
for each backend, has many ask all kinds of things, and meanwhile kills and stops whatever there
is, several at once, as the seed says. A run has rounds. After each, all faults are over, what
has no answer is asked again, everything that is kept is read, and each promise of the contract is
checked on the whole history. Exit code 1 tells that a promise was broken."""

_EXAMPLES: Final = """examples:
  python -m tests.chaos                                     a minute or two
  python -m tests.chaos --backends redis --kinds redis      one backend, one kind of kill
  python -m tests.chaos --kills 200 --operations 1000000 --calm 2 --json report.json
                                                            the long run: about an hour
  python -m tests.chaos --seed 7 --only-round 3             one round of a run once more
  python -m tests.chaos --mutant no-inbox                   a planted defect has to be found
"""


def main(words: Sequence[str] | None = None) -> int:
    """Run the suite. 0: every promise was kept; 1: one was not, or it was interrupted; 2: usage."""
    given = list(sys.argv[1:] if words is None else words)
    parser = _parser()
    arguments = parser.parse_args(given)
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="holdfast-chaos-"))
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        parser.error(f"--folder: {folder} is not empty")
    folder.chmod(0o711)  # PostgreSQL runs as another user and has to pass through
    _keep_logs(folder / "load.log")
    options = _options(arguments, folder)
    if (options.only_round or 0) > options.rounds:
        parser.error(f"--only-round: the run has {options.rounds} rounds")
    _say(f"seed {options.seed} · files in {folder}\n")
    install_all()
    progress = _Progress()
    run = Run(options, _command(given), progress.tell)
    is_whole = True
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_until_told(run))
    except (KeyboardInterrupt, asyncio.CancelledError):
        is_whole = False
    finally:  # what was seen until then, also where the suite itself fails
        progress.end()
        sys.stdout.write(run.report.as_text() + "\n")
        _write(run.report, arguments.json)
    if not is_whole:
        _say("it was ended before its time\n")
    if run.report.found or not is_whole:
        return 1
    if arguments.folder is None:
        shutil.rmtree(folder, ignore_errors=True)  # nobody has to look into it
    return 0


async def _until_told(run: Run) -> None:
    """The whole run; SIGTERM ends it as Ctrl-C does, and all that it started."""
    running = asyncio.ensure_future(run.run())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    await running


def _keep_logs(file: Path) -> None:
    """Lost connections are what is wanted here: what the clients say of them goes to a file."""
    handler = RotatingFileHandler(file, maxBytes=_LOG_BYTES, backupCount=1, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(message)s"))
    logging.getLogger().addHandler(handler)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos",
        description=_HELP,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--backends", type=_names(DURABLE), default=DURABLE, metavar="NAMES", help="all three")
    add("--kinds", type=_names(KINDS), default=KINDS, metavar="NAMES", help="what is killed: all")
    add("--agents", type=_count(1), default=2, metavar="N", help="processes per backend: 2")
    add("--kills", type=_count(0), default=10, metavar="N", help="of each kind: 10")
    add("--stops", type=_count(0), metavar="N", help="SIGSTOPs of agents: as many as kills")
    add(
        "--operations",
        type=_count(0),
        default=10_000,
        metavar="N",
        help="per backend, at least: 10000",
    )
    add("--rounds", type=_count(1), metavar="N", help="one for every 10 kills or 50000 operations")
    add(
        "--calm",
        type=_count(0),
        default=0,
        metavar="N",
        help="single strikes of each kind first: 0",
    )
    add(
        "--workers",
        type=_count(1),
        default=16,
        metavar="N",
        help="who asks at once, per backend: 16",
    )
    add("--seed", type=int, metavar="N", help="decides everything that chance decides")
    add("--only-round", type=_count(0), metavar="N", help="only this one; 0 is the calm one")
    add("--first-success", type=float, default=5.0, metavar="S", help="bound in seconds: 5")
    add("--full-again", type=float, default=15.0, metavar="S", help="bound in seconds: 15")
    add("--mutant", metavar="NAME", help="plant a defect; stops at the first violation")
    add("--stop-at-first", action="store_true", help="no further round after a violation")
    add(
        "--folder",
        type=Path,
        metavar="DIR",
        help="empty, for data and logs: a temporary one, removed if all is well",
    )
    add("--json", type=Path, metavar="FILE", help="write the whole report there, too")
    return parser


def _count(least: int) -> Callable[[str], int]:
    """Reads a number that is not smaller than this."""

    def number(text: str) -> int:  # argparse names it where it cannot read one
        if (count := int(text)) < least:
            raise argparse.ArgumentTypeError(f"{text}: {least} or more")
        return count

    return number


def _names(known: tuple[str, ...]) -> "_Names":
    return _Names(known)


class _Names:
    """Reads names that are separated by commas."""

    def __init__(self, known: tuple[str, ...]) -> None:
        self._known = known

    def __call__(self, text: str) -> tuple[str, ...]:
        names = tuple(name.strip() for name in text.split(","))
        for name in names:
            if name not in self._known:
                raise argparse.ArgumentTypeError(f"{name}: one of {', '.join(self._known)}")
        return names


def _options(arguments: argparse.Namespace, folder: Path) -> Options:
    kills, operations = arguments.kills, arguments.operations
    parts = (-(-kills // _KILLS_A_ROUND), -(-operations // _OPERATIONS_A_ROUND))
    rounds = arguments.rounds or max(1, *parts)
    return Options(
        folder=folder,
        seed=secrets.randbelow(1_000_000) if arguments.seed is None else arguments.seed,
        backends=arguments.backends,
        kinds=arguments.kinds,
        agents=arguments.agents,
        kills=arguments.kills,
        stops=arguments.kills if arguments.stops is None else arguments.stops,
        operations=arguments.operations,
        rounds=rounds,
        only_round=arguments.only_round,
        calm=arguments.calm,
        workers=arguments.workers,
        first_success=arguments.first_success,
        full_again=arguments.full_again,
        mutant=arguments.mutant,
        stop_at_first=arguments.stop_at_first or arguments.mutant is not None,
    )


def _command(given: list[str]) -> str:
    """What was called, without what a repetition says itself."""
    kept: list[str] = []
    words = iter(given)
    for word in words:
        if word in ("--seed", "--only-round", "--folder", "--json"):
            next(words, None)
        else:
            kept.append(word)
    return shlex.join(["python", "-m", "tests.chaos", *kept])


def _write(report: Report, file: Path | None) -> None:
    if file is not None:
        file.write_text(json.dumps(report.as_json(), indent=2) + "\n", encoding="utf-8")


class _Progress:
    """A line that changes, on a terminal; else a line now and then."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._next = 0.0

    def tell(self, line: str) -> None:
        if self._live:
            _say(f"\r\x1b[2K{line}")
        elif time.monotonic() >= self._next:
            self._next = time.monotonic() + _QUIET_BEAT
            _say(f"{line}\n")

    def end(self) -> None:
        if self._live:
            _say("\n")


def _say(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()
