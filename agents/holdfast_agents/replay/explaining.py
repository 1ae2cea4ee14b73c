"""A report as lines to read, for a terminal and for a failed test alike."""

from collections.abc import Iterator, Sequence
from typing import Final, Literal, NamedTuple

from .report import Divergence, Report

Kind = Literal["head", "plain", "expected", "got", "hint", "bad", "good", "warning"]

_LINES: Final = 10
"""Differences shown of one message."""


class Line(NamedTuple):
    """One line, and what it is."""

    kind: Kind
    text: str


def summary(report: Report, place: str) -> Iterator[Line]:
    """What was done, `place` naming where."""
    pace = f"in {report.seconds:.2f} s ({report.rate:,.0f}/s)"
    yield Line("plain", f"replayed {report.replayed:,} messages against {place} {pace}")
    if counts := _counted(report.outcomes.most_common()):
        yield Line("plain", f"answers: {counts}")
    if report.withheld:
        why = _counted(sorted(report.withheld.items()))
        number = report.withheld.total()
        yield Line("plain", f"not sent: {number:,} messages that are not to be repeated ({why})")
    if report.repeats:
        yield Line("plain", f"left out: {report.repeats:,} lines that stand in the log twice")


def warnings(report: Report) -> Iterator[Line]:
    """What makes differences likely, and nobody's fault."""
    if report.found:
        held = ", ".join(f"{name} ({count:,})" for name, count in report.found.items())
        text = f"the store was not empty: {held}; answers may differ for that reason"
        yield Line("warning", text)
    if report.begins_late:
        text = ", ".join(f"{name} at change {n:,}" for name, n in report.begins_late.items())
        yield Line("warning", f"the log does not begin at the beginning: {text}")


def problems(report: Report) -> Iterator[Line]:
    """What could not be replayed."""
    for line in report.bad_lines:
        yield Line("bad", f"line {line.number} is broken: {line.reason}")
    yield from _rest(report.broken - len(report.bad_lines), "broken lines")
    for agent, count in sorted(report.skipped.items()):
        yield Line(
            "bad", f"{count:,} messages to {agent} were skipped: there is no such agent here"
        )


def verdict(report: Report) -> Iterator[Line]:
    """Whether the answers are equal, and where not."""
    for divergence in report.samples:
        yield from _of(divergence)
    yield from _rest(report.differing - len(report.samples), "messages that differ")
    if report.differing:
        text = f"compared {report.compared:,} answers: {report.differing:,} differ"
        yield Line("bad", text)
        if report.differing > 1:
            yield Line("hint", "one difference often brings the others along: begin with the first")
    else:
        yield Line("good", f"compared {report.compared:,} answers: all equal")


def _of(divergence: Divergence) -> Iterator[Line]:
    place = f"line {divergence.line}  {divergence.action}  {divergence.message_id}"
    yield Line("head", place)
    for difference in divergence.differences[:_LINES]:
        yield Line("plain", f"  {difference.path}")
        yield Line("expected", f"    expected {difference.expected}")
        yield Line("got", f"    got      {difference.got}")
    yield from _rest(len(divergence.differences) - _LINES, "places in this answer")
    if divergence.hint is not None:
        yield Line("hint", f"  hint: {divergence.hint}")


def _rest(count: int, what: str) -> Iterator[Line]:
    if count > 0:
        yield Line("plain", f"  … and {count:,} more {what}")


def _counted(counts: Sequence[tuple[str, int]]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts)
