"""The figures as a table for people and as JSON for everything else."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from .environment import Options
from .model import Case, Goal, Result


def print_results(console: Console, results: Sequence[Result]) -> None:
    """A table of the goals, then, by case, everything that was measured."""
    console.print(_goals(results))
    console.print(_measurements(results))
    for result in results:
        for note in result.notes:
            console.print(f"[dim]{result.case.name}:[/dim] {note}")
        if result.error is not None:
            console.print(f"[bold red]{result.case.name} failed:[/bold red] {result.error}")


def _goals(results: Sequence[Result]) -> Table:
    table = Table(title="Figures", title_justify="left", caption_justify="left")
    table.add_column("figure")
    for heading in ("measured", "reference", "ratio", "target"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("")
    for result in results:
        for goal in result.case.goals:
            table.add_row(*_goal_row(result, goal))
        if result.case.goals:
            table.add_section()
    table.caption = "all are medians of the runs; a ratio is taken within each run"
    return table


def _goal_row(result: Result, goal: Goal) -> list[str | Text]:
    unit = result.case.series[goal.series].unit
    figure = result.figure(goal)
    value = result.value(goal.series)
    references = [result.value(name) for name in goal.reference]
    known = [reference for reference in references if reference is not None]
    over = f" ÷ ({' + '.join(goal.reference)})" if len(goal.reference) > 1 else ""
    over = f" ÷ {goal.reference[0]}" if len(goal.reference) == 1 else over
    return [
        f"{result.case.name}: {goal.series}{over}",
        "–" if value is None else f"{_number(value)} {unit}",
        f"{_number(sum(known))} {unit}" if known else "",
        f"{figure:.2f} ×" if figure is not None and goal.reference else "",
        _target(goal, unit),
        _verdict(goal, figure),
    ]


def _verdict(goal: Goal, figure: float | None) -> Text:
    if figure is None:
        return Text("not measured", style="bold red")
    if goal.is_met(figure):
        return Text("met", style="green")
    return Text("MISSED", style="bold yellow")


def _target(goal: Goal, unit: str) -> str:
    sign = "≥" if goal.bound == "at least" else "≤"
    if goal.reference:
        return f"{sign} {goal.target:g} ×"
    return f"{sign} {_number(goal.target)} {unit}"


def _measurements(results: Sequence[Result]) -> Table:
    table = Table(title="All that was measured", title_justify="left")
    table.add_column("case")
    table.add_column("what")
    table.add_column("median", justify="right", no_wrap=True)
    table.add_column("lowest – highest", justify="right", no_wrap=True)
    for result in results:
        for name, series in result.case.series.items():
            values = sorted(sample[name] for sample in result.samples if name in sample)
            value = result.value(name)
            table.add_row(
                result.case.name,
                series.what,
                "–" if value is None else f"{_number(value)} {series.unit}",
                f"{_number(values[0])} – {_number(values[-1])}" if len(values) > 1 else "",
            )
        table.add_section()
    return table


def _number(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 1 else f"{value:.3f}"


def as_json(options: Options, machine: dict[str, Any], results: Sequence[Result]) -> dict[str, Any]:
    """Everything: options, machine, each run's values, figures, targets."""
    return {
        "at": datetime.now(UTC).isoformat(),
        "options": {"runs": options.runs, "quick": options.quick},
        "machine": machine,
        "cases": [_case_json(result) for result in results],
    }


def _case_json(result: Result) -> dict[str, Any]:
    case: Case = result.case
    return {
        "name": case.name,
        "title": case.title,
        "seconds": round(result.seconds, 1),
        "load": result.load,
        "error": result.error,
        "notes": result.notes,
        "series": {
            name: {
                "what": series.what,
                "unit": series.unit,
                "median": result.value(name),
                "runs": [sample[name] for sample in result.samples if name in sample],
            }
            for name, series in case.series.items()
        },
        "goals": [_goal_json(result, goal) for goal in case.goals],
    }


def _goal_json(result: Result, goal: Goal) -> dict[str, Any]:
    figure = result.figure(goal)
    return {
        "series": goal.series,
        "reference": list(goal.reference),
        "figure": figure,
        "bound": goal.bound,
        "target": goal.target,
        "met": None if figure is None else goal.is_met(figure),
    }


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write it where it is asked for, making the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
