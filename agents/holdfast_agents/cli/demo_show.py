"""What a person sees of the demonstration."""

import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from pydantic import JsonValue
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

from holdfast_agents.demo import DemoResult, Step
from holdfast_protocol.codec import compact_json

from .common import console
from .replay_report import print_problems, print_verdict

_EXAMPLE_LOG: Final = Path("examples/logs/todo.jsonl")


class DemoShow:
    """Progress bars on a terminal, and a summary anywhere; a context manager for the bars."""

    def __init__(self) -> None:
        self._out: Console = console()
        columns = (TextColumn("{task.description:<8}"), BarColumn(), MofNCompleteColumn())
        hidden = not self._out.is_terminal
        self._progress = Progress(*columns, console=self._out, transient=True, disable=hidden)
        self._task: TaskID | None = None

    def opening(self, documents: Sequence[dict[str, JsonValue]], folder: Path) -> None:
        """Say what is going to happen."""
        size = sum(len(compact_json(document)) for document in documents)
        self._out.print(
            f"{len(documents):,} distributions of this machine, {size / 1_000_000:.1f} MB of JSON, "
            f"through the storage agent into {folder}/ (SQLite, every commit flushed)"
        )

    def begin(self, name: str, total: int) -> None:
        """As `Show.begin`."""
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._task = self._progress.add_task(name, total=total)

    def advance(self) -> None:
        """As `Show.advance`."""
        if self._task is not None:
            self._progress.advance(self._task)

    def closing(self, result: DemoResult) -> None:
        """The summary, the verdict, and what to try next."""
        self._out.print(_table(result))
        print_problems(self._out, result.report)
        print_verdict(self._out, result.report)
        if result.report.ok:
            text = f"The memory backend answers the {result.recorded:,} messages as SQLite did."
            self._out.print(Text(text, style="green"))
        self._out.print("Next:")
        program = sys.argv[0]
        self._out.print(Text(f"  {program} replay {result.log} --compare"), soft_wrap=True)
        if _EXAMPLE_LOG.exists():
            self._out.print(Text(f"  {program} replay {_EXAMPLE_LOG} --compare"), soft_wrap=True)
        self._out.print(Text(f"  {program} serve --help"), soft_wrap=True)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()


def _table(result: DemoResult) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("step", "messages", "ms", "per second"):
        table.add_column(heading, justify="left" if heading == "step" else "right")
    table.add_column("what it showed", overflow="fold")
    report = result.report
    replay = Step("replay", report.replayed, report.seconds, f"{result.log} on memory://, compared")
    for step in (*result.steps, replay):
        milliseconds = f"{step.seconds * 1000:,.1f}"
        row = (step.name, f"{step.messages:,}", milliseconds, f"{step.rate:,.0f}")
        table.add_row(*row, Text(step.shown))
    return table
