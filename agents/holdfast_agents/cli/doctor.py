"""`holdfast doctor`: is everything as it has to be, and what to do where it is not."""

import typer

from .common import (
    BackendOption,
    BusOption,
    ConfigOption,
    ExitCode,
    JsonOption,
    NamespaceOption,
    load_settings,
    run,
)


def doctor(
    bus: BusOption = None,
    backend: BackendOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Check the settings, the broker (version, topology, who serves) and the store (schema,
    durability), and say what to do.

    Each finding is one line: ok, warn or fail. Exits 1 when one of them is fail. The broker is
    only asked; the store is opened as `holdfast serve` opens it, and no document is touched.

    \b
    Example:
      holdfast doctor --bus amqp://guest:guest@127.0.0.1/ --backend redis://127.0.0.1
    """
    settings = load_settings({"bus": bus, "backend": backend, "namespace": namespace}, config)

    from .addresses import check_backend, check_reachable_bus
    from .doctor_findings import Level, findings_json, print_findings
    from .doctor_run import examine

    check_reachable_bus(settings.bus.get_secret_value(), settings.namespace)
    check_backend(settings.backend.get_secret_value())
    findings = run(examine(settings))
    if as_json:
        typer.echo(findings_json(findings))
    else:
        print_findings(findings)
    if any(finding.level is Level.FAIL for finding in findings):
        raise typer.Exit(int(ExitCode.FAILED))
