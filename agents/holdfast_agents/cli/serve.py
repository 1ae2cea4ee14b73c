"""`holdfast serve`: run agents until a signal says stop."""

from pathlib import Path
from typing import Annotated

import typer

from .common import (
    BackendOption,
    BusOption,
    ConfigOption,
    ExitCode,
    NamespaceOption,
    fail,
    load_settings,
    run,
)


def serve(
    bus: BusOption = None,
    backend: BackendOption = None,
    agents: Annotated[
        str | None, typer.Option(metavar="NAMES", help="Agents to run, separated by commas.")
    ] = None,
    namespace: NamespaceOption = None,
    log_level: Annotated[
        str | None, typer.Option(metavar="LEVEL", help="debug, info, warning or error.")
    ] = None,
    log_format: Annotated[
        str | None, typer.Option(metavar="FORMAT", help="auto, json or console.")
    ] = None,
    journal: Annotated[
        bool | None,
        typer.Option(
            "--journal/--no-journal", help="Append every exchange to the journal; see record."
        ),
    ] = None,
    ready_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Written (with the process id) when ready to serve."),
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Run agents: take messages from the broker, keep documents in the store, answer.

    SIGTERM or SIGINT stops it gracefully: what was taken is finished and answered, then it
    exits 0. A second signal, or HOLDFAST_SHUTDOWN_SECONDS, ends it at once with exit 1. Without
    broker or store at start it waits HOLDFAST_CONNECT_SECONDS, then exits 1. A wrong setting
    exits 2.

    \b
    Example:
      holdfast serve --bus amqp://guest:guest@127.0.0.1/ --backend sqlite:///tasks.db

    \b
    Every setting is a variable HOLDFAST_<NAME> or a key <name> of the TOML file:
      bus, backend, agents, namespace, log_level, log_format, prefetch, batch_messages,
      memory_mib, retry_seconds, response_limit, retention_days, events,
      event_retention_hours, journal, sweep_seconds, pool_size, allow_unsafe_redis,
      connect_seconds, shutdown_seconds, indexes
    """
    options = {
        "bus": bus,
        "backend": backend,
        "agents": agents,
        "namespace": namespace,
        "log_level": log_level,
        "log_format": log_format,
        "journal": journal,
    }
    settings = load_settings(options, config)
    if ready_file is not None and not ready_file.parent.is_dir():
        fail(f"--ready-file: there is no folder {ready_file.parent}", ExitCode.USAGE)

    from .addresses import check_agents, check_backend, check_reachable_bus
    from .serving import Serving

    check_reachable_bus(settings.bus.get_secret_value(), settings.namespace)
    check_backend(settings.backend.get_secret_value())
    check_agents(settings.agents)
    if code := run(Serving(settings, ready_file).run()):
        raise typer.Exit(code)
