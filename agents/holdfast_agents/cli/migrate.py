"""`holdfast migrate`: bring the store's schema to this version."""

import typer

from .common import BackendOption, ConfigOption, JsonOption, fail, load_settings, run, scheme_of


def migrate(
    backend: BackendOption = None, as_json: JsonOption = False, config: ConfigOption = None
) -> None:
    """Bring the store's schema to this version of Holdfast.

    Needed before `holdfast serve` on PostgreSQL, first and after an upgrade; it may run while
    others do. Stores without a schema (Redis, memory) need nothing. Exits 1 when the store
    cannot be reached, or its schema is newer than this version.

    \b
    Example:
      holdfast migrate --backend postgresql://holdfast:secret@127.0.0.1/holdfast
      holdfast migrate --backend postgresql://holdfast:secret@db1:5432,db2:5432/holdfast
    """
    settings = load_settings({"backend": backend}, config)

    from holdfast_backends import StorageError

    from .addresses import check_backend
    from .migrating import migrated

    url = settings.backend.get_secret_value()
    check_backend(url)
    try:
        report = run(migrated(url))
    except StorageError as error:
        fail(f"{scheme_of(url)}: {error.message}")
    typer.echo(report.as_json() if as_json else report.as_text())
