"""`holdfast replay`: a message log against a store or a bus."""

from math import isfinite
from pathlib import Path
from typing import Annotated

import typer

from .common import (
    ConfigOption,
    ExitCode,
    JsonOption,
    NamespaceOption,
    fail,
    load_settings,
    run,
)


def replay(
    log: Annotated[Path, typer.Argument(metavar="LOG", help="Message log: JSON Lines.")],
    compare: Annotated[
        bool, typer.Option("--compare", help="Compare the answers with the recorded ones.")
    ] = False,
    ignore: Annotated[
        list[str] | None,
        typer.Option(metavar="FIELD", help="Also leave this path out; may be given repeatedly."),
    ] = None,
    speed: Annotated[
        str, typer.Option(metavar="N|max", help="Times as fast as recorded, or max.")
    ] = "max",
    bus: Annotated[
        str | None, typer.Option(metavar="URL", help="Send to the agents that serve this broker.")
    ] = None,
    backend: Annotated[
        str | None, typer.Option(metavar="URL", help="Execute straight on this store.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="End at the first broken line.")] = False,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Replay a message log, and compare the answers.

    The messages are executed in the order in which they were executed when they were recorded
    (that of the log, but for a journal's raw lines), on an empty in-memory store unless
    --backend or --bus names another place. HOLDFAST_BUS and HOLDFAST_BACKEND do not: a replay
    writes, and must not find a store by accident.

    Never compared: `id` and `timestamp` of the answer, created_at, updated_at, expires_at and
    sequence in its `meta`, the moments of leases and events, and what agents tell of their own
    process (ping, stats). --ignore leaves out more: a dotted path from the answer's root, `*` for
    any key or index.

    On a store, records and leases expire by the moments of the log; on a bus, by the real time.
    What was not executed when it was recorded (unavailable, overloaded, cancelled) is not sent.

    \b
    Exit status:
      0  everything was replayed, and with --compare every answer was equal
      1  an answer differs, a line is broken, an agent is missing, or there was no answer
      2  wrong usage, or a log of a later version

    \b
    Examples:
      holdfast replay examples/logs/todo.jsonl --compare
      holdfast replay journal.jsonl --backend sqlite:///restored.db
      holdfast replay journal.jsonl --compare --ignore meta.version --json
    """
    if bus is not None and backend is not None:
        fail("give either --bus or --backend", ExitCode.USAGE)
    pace = _speed(speed)
    settings = load_settings({"namespace": namespace}, config)

    from .replay_report import print_report, report_json
    from .replay_run import Job, replay_log

    job = Job(log, bus, backend or "memory://", compare, tuple(ignore or ()), pace, strict)
    report = run(replay_log(job, settings, quiet=as_json))
    if as_json:
        typer.echo(report_json(report))
    else:
        print_report(report, job)
    if not report.ok:
        raise typer.Exit(int(ExitCode.FAILED))


def _speed(text: str) -> float | None:
    """The factor, or None for as fast as possible."""
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not (isfinite(speed) and speed > 0):
        fail("--speed is a number above 0, or max", ExitCode.USAGE)
    return speed
