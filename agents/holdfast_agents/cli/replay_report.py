"""How a replay's report is shown: to a person, and to a script."""

from collections.abc import Iterable
from typing import Final

from rich.console import Console
from rich.text import Text

from holdfast_agents.replay import Divergence, Report
from holdfast_agents.replay.comparing import IGNORED
from holdfast_agents.replay.explaining import Kind, Line, problems, summary, verdict, warnings
from holdfast_protocol.codec import compact_json

from .common import console, scheme_of
from .replay_run import Job

_STYLES: Final[dict[Kind, str]] = {
    "head": "bold",
    "plain": "",
    "expected": "green",
    "got": "red",
    "hint": "yellow",
    "bad": "bold red",
    "good": "bold green",
    "warning": "yellow",
}


def print_report(report: Report, job: Job) -> None:
    """The summary and the differences on stdout, warnings on stderr."""
    out = console()
    place = "the bus" if job.bus is not None else f"{scheme_of(job.backend)}://"
    for line in warnings(report):
        warn(line.text)
    _print(out, summary(report, place))
    print_problems(out, report)
    if job.compare:
        print_verdict(out, report)
        out.print(Text(f"not compared: {', '.join((*IGNORED, *job.ignore))}", style="dim"))


def print_problems(out: Console, report: Report) -> None:
    """What could not be replayed."""
    _print(out, problems(report))


def print_verdict(out: Console, report: Report) -> None:
    """Whether the answers are equal, and where not."""
    _print(out, verdict(report))


def _print(out: Console, lines: Iterable[Line]) -> None:
    for line in lines:
        # Text, and soft-wrapped: values are shown as they are, brackets and all.
        out.print(Text(line.text, style=_STYLES[line.kind]), soft_wrap=True)


def warn(text: str) -> None:
    """One line of warning on stderr."""
    console(stderr=True).print(Text(f"warning: {text}", style="yellow"), soft_wrap=True)


def report_json(report: Report) -> str:
    """The report as one line of JSON."""
    fields: dict[str, object] = {
        "ok": report.ok,
        "replayed": report.replayed,
        "compared": report.compared,
        "differing": report.differing,
        "broken": report.broken,
        "skipped": dict(report.skipped),
        "withheld": dict(report.withheld),
        "repeats": report.repeats,
        "outcomes": dict(report.outcomes),
        "store_held": report.found,
        "begins_late": report.begins_late,
        "seconds": round(report.seconds, 6),
        "differences": [_fields(divergence) for divergence in report.samples],
        "bad_lines": [{"line": bad.number, "reason": bad.reason} for bad in report.bad_lines],
    }
    return compact_json(fields).decode()


def _fields(divergence: Divergence) -> dict[str, object]:
    places = [
        {"path": found.path, "expected": found.expected, "got": found.got}
        for found in divergence.differences
    ]
    return {
        "line": divergence.line,
        "message_id": divergence.message_id,
        "agent": divergence.agent,
        "action": divergence.action,
        "differences": places,
        "hint": divergence.hint,
    }
