"""`holdfast record`: the journal on the bus as a message log."""

from pathlib import Path
from typing import Annotated

import typer

from .common import (
    BusOption,
    ConfigOption,
    ExitCode,
    JsonOption,
    NamespaceOption,
    fail,
    load_settings,
    run,
)


def record(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="Where to write it.")],
    since: Annotated[
        str | None,
        typer.Option(metavar="WHEN", help="RFC 3339 time, or how long ago: 30s, 15m, 2h, 7d."),
    ] = None,
    follow: Annotated[
        bool,
        typer.Option("--follow/--until-now", help="Go on until Ctrl-C or SIGTERM."),
    ] = False,
    agent: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only what this agent was told.")
    ] = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="As the journal holds it: unsorted, repeats and all.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="End without a file where a line is no exchange.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    bus: BusOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Write the journal of a running system to a message log, for `holdfast replay`.

    The agents keep a journal where `holdfast serve` runs with --journal. Its lines are put into
    the order of their execution, each once. FILE appears when it is complete, not before.

    \b
    Exit status:
      0  recorded
      1  there is no journal or nothing in it to record, the broker was not reached, or with
         --strict a line is no exchange
      2  wrong usage, FILE exists, or a journal of a later version

    \b
    Examples:
      holdfast record --out run.jsonl
      holdfast record --out last-hour.jsonl --since 1h --agent storage
      holdfast replay last-hour.jsonl --compare
    """
    settings = load_settings({"bus": bus, "namespace": namespace}, config)

    from .addresses import check_reachable_bus
    from .record_run import Job, parse_since, print_recorded, record_journal

    bus_url = settings.bus.get_secret_value()
    check_reachable_bus(bus_url, settings.namespace)
    begin = None if since is None else parse_since(since)
    if out.is_dir() or not out.parent.is_dir():
        what = "is a folder" if out.is_dir() else "cannot be made: its folder does not exist"
        fail(f"--out: {out} {what}", ExitCode.USAGE)
    if out.exists() and not force:
        fail(f"--out: {out} exists; --force overwrites it", ExitCode.USAGE)
    job = Job(bus_url, settings.namespace, out, begin, agent, raw, strict, follow, force)
    recorded = run(record_journal(job, quiet=as_json))
    print_recorded(recorded, job, as_json=as_json)
