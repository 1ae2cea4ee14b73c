"""The command line: `python -m benchmarks`."""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvloop
from rich.console import Console
from rich.table import Table

from .broker import own_vhost
from .catalogue import CASES
from .environment import OUTPUT, Bench, Options
from .machine import facts, load
from .model import Case
from .report import as_json, print_results, write_json
from .running import run_cases

_VARIABLES = (
    "HOLDFAST_TEST_AMQP_URL",
    "HOLDFAST_TEST_POSTGRES_URL",
    "HOLDFAST_TEST_REDIS_URL",
)
_EPILOG = """\
examples:
  make bench                                everything, on servers that it brings up
  make bench ARGS='saves latency --quick'   two cases, roughly
  python -m benchmarks --list               the cases, and what each measures

Needed: the servers' addresses in HOLDFAST_TEST_AMQP_URL, HOLDFAST_TEST_POSTGRES_URL,
HOLDFAST_TEST_REDIS_URL and, where the broker's management API is not at port 15672,
HOLDFAST_TEST_RABBITMQ_API_URL. Each run has a vhost, databases and key prefixes of its own,
removed at the end. Every figure is a median; ratios are taken within one run, in which a thing
and its reference take turns. Use a machine that does nothing else.

exit code: 0 measured (a missed target is told, and no failure), 1 a case failed, 2 usage,
130 interrupted
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write. Returns the exit code."""
    parser = _parser()
    chosen = parser.parse_args(arguments)
    console = Console()
    if not console.is_terminal:
        console = Console(width=100)  # a file has no width of its own
    if chosen.list:
        _print_list(console)
        return 0
    unknown = [name for name in chosen.names if name not in CASES]
    if unknown:
        parser.error(f"no case {unknown[0]!r}; there are: {', '.join(CASES)}")
    missing = [name for name in _VARIABLES if not os.environ.get(name)]
    if missing:
        parser.error(f"{missing[0]} is not set; `make bench` brings the servers and sets it")
    cases = [case for name, case in CASES.items() if not chosen.names or name in chosen.names]
    runs = chosen.runs if chosen.runs is not None else (2 if chosen.quick else 5)
    try:
        return uvloop.run(_measure(Options(runs, chosen.quick), cases, chosen.json, console))
    except asyncio.CancelledError:
        console.print("[yellow]interrupted; every process that was started has ended[/yellow]")
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure Holdfast beside its peers on this machine.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="cases; all when none is named")
    parser.add_argument("--runs", type=_positive, help="runs of each case (5; 2 with --quick)")
    parser.add_argument("--quick", action="store_true", help="less of everything, roughly")
    parser.add_argument("--json", type=Path, metavar="PATH", help="also write the JSON here")
    parser.add_argument("--list", action="store_true", help="list the cases, measure nothing")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _print_list(console: Console) -> None:
    table = Table("case", "what", "targets")
    for case in CASES.values():
        targets = [
            f"{goal.series} {goal.bound} {goal.target:,g}"
            + (f" × {' + '.join(goal.reference)}" if goal.reference else "")
            for goal in case.goals
        ]
        table.add_row(case.name, case.title, "\n".join(targets))
    console.print(table)


async def _measure(
    options: Options, cases: Sequence[Case], path: Path | None, console: Console
) -> int:
    this = asyncio.current_task()
    assert this is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, this.cancel)
    async with AsyncExitStack() as stack:
        amqp, postgres, redis = (os.environ[name] for name in _VARIABLES)
        vhost = await stack.enter_async_context(own_vhost(amqp))
        bench = Bench(options, vhost, postgres, redis)
        machine = await facts(bench)
        _warn(console, options, machine)
        results = await run_cases(bench, cases, console)
    print_results(console, results)
    content = as_json(options, machine, results)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    for target in (OUTPUT / f"{stamp}.json", OUTPUT / "latest.json", *([path] if path else [])):
        write_json(target, content)
    console.print(f"written: {OUTPUT / 'latest.json'}")
    return 1 if any(result.error is not None for result in results) else 0


def _warn(console: Console, options: Options, machine: dict[str, Any]) -> None:
    if load() > 0.5:
        console.print(
            f"[yellow]load {load():.1f} on {machine['cores']} cores: this machine is busy, "
            "and the figures are rough[/yellow]"
        )
    if machine["postgresql"]["fsync"] != "on":
        console.print("[bold red]PostgreSQL runs without fsync: no figure counts[/bold red]")
    if options.quick:
        console.print("[yellow]--quick: the figures are rough[/yellow]")


if __name__ == "__main__":
    sys.exit(main())
