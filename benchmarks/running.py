"""Runs cases: prepared once, measured in several runs, whatever fails told and not hidden."""

import gc
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from time import perf_counter

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from .environment import OUTPUT, Bench
from .machine import load
from .model import Case, Result


async def run_cases(bench: Bench, cases: Sequence[Case], console: Console) -> list[Result]:
    """A result for each case, in order."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("run {task.completed}/{task.total}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[stage]}", style="dim"),
    )
    # Few refreshes: what draws the progress takes time from what is measured.
    with Progress(*columns, console=console, refresh_per_second=1) as progress:
        results = []
        for case in cases:
            runs = bench.options.runs if case.repeated else 1
            task = progress.add_task(case.name, total=runs, stage="")
            bench.stage = partial(_tell_stage, progress, task)
            results.append(await _run(bench, case, partial(progress.advance, task)))
            bench.stage("" if results[-1].error is None else "failed")
        return results


async def _run(bench: Bench, case: Case, advance: Callable[[], None]) -> Result:
    result = Result(case, load=load())
    bench.notes = result.notes
    trace = OUTPUT / f"{case.name}.error.txt"
    trace.unlink(missing_ok=True)
    begin = perf_counter()
    try:
        bench.stage("preparing")
        async with case.prepare(bench) as measure:
            # What is there by now stays: neither side is to pay for the collector looking at it.
            gc.collect()
            gc.freeze()
            for _ in range(bench.options.runs if case.repeated else 1):
                result.samples.append(await measure())
                advance()
    except Exception as error:  # noqa: BLE001 — the other cases are still worth measuring
        result.error = _one_line(error)
        OUTPUT.mkdir(exist_ok=True)
        trace.write_text("".join(traceback.format_exception(error)))
        result.notes.append(f"the traceback is in {trace}")
    gc.unfreeze()
    result.seconds = perf_counter() - begin
    return result


def _tell_stage(progress: Progress, task: TaskID, text: str) -> None:
    progress.update(task, stage=text)


def _one_line(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"
