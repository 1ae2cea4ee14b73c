"""How a replay's report is shown: to a person, and to a script."""

from rich.console import Console
from rich.text import Text

from holdfast_agents.replay import Divergence, Report
from holdfast_agents.replay.comparing import IGNORED
from holdfast_protocol.codec import compact_json

from .common import console, scheme_of
from .replay_run import Job

_LINES = 10
"""Differences shown of one message."""


def print_report(report: Report, job: Job) -> None:
    """The summary and the differences on stdout, warnings on stderr."""
    out = console()
    place = "the bus" if job.bus is not None else f"{scheme_of(job.backend)}://"
    if report.found:
        held = ", ".join(f"{name} ({count:,})" for name, count in report.found.items())
        warn(f"the store was not empty: {held}; answers may differ for that reason")
    pace = f"in {report.seconds:.2f} s ({report.rate:,.0f}/s)"
    out.print(f"replayed {report.replayed:,} messages against {place} {pace}")
    counts = ", ".join(f"{name} {count:,}" for name, count in report.outcomes.most_common())
    if counts:
        out.print(f"answers: {counts}")
    print_problems(out, report)
    if job.compare:
        print_verdict(out, report)
        out.print(Text(f"not compared: {', '.join((*IGNORED, *job.ignore))}", style="dim"))


def print_problems(out: Console, report: Report) -> None:
    """What could not be replayed."""
    for line in report.bad_lines:
        out.print(Text(f"line {line.number} is broken: {line.reason}", style="red"))
    _print_rest(out, report.broken - len(report.bad_lines), "broken lines")
    for agent, count in sorted(report.skipped.items()):
        text = f"{count:,} messages to {agent} were skipped: there is no such agent here"
        out.print(Text(text, style="red"))


def print_verdict(out: Console, report: Report) -> None:
    """Whether the answers are equal, and where not."""
    for divergence in report.samples:
        _print_divergence(out, divergence)
    _print_rest(out, report.differing - len(report.samples), "messages that differ")
    if report.differing:
        text = f"compared {report.compared:,} answers: {report.differing:,} differ"
        out.print(Text(text, style="bold red"))
    else:
        out.print(Text(f"compared {report.compared:,} answers: all equal", style="bold green"))


def _print_divergence(out: Console, divergence: Divergence) -> None:
    place = f"line {divergence.line}  {divergence.action}  {divergence.message_id}"
    out.print(Text(place, style="bold"))
    for difference in divergence.differences[:_LINES]:
        # Text, and soft-wrapped: values are shown as they are, brackets and all.
        out.print(Text(f"  {difference.path}"), soft_wrap=True)
        out.print(Text(f"    expected {difference.expected}", style="green"), soft_wrap=True)
        out.print(Text(f"    got      {difference.got}", style="red"), soft_wrap=True)
    _print_rest(out, len(divergence.differences) - _LINES, "places in this answer")


def _print_rest(out: Console, count: int, what: str) -> None:
    if count > 0:
        out.print(f"  … and {count:,} more {what}")


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
        "outcomes": dict(report.outcomes),
        "store_held": report.found,
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
        "action": divergence.action,
        "differences": places,
    }
