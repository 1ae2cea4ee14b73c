"""`holdfast demo`: the main job, with nothing to configure."""

from pathlib import Path
from typing import Annotated

import typer

from .common import ExitCode, fail, run


def demo(
    output: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Where the store and the log are written.")
    ] = Path("demo-output"),
) -> None:
    """Show the main job on an in-process bus and a SQLite file; no server is needed.

    Stores the metadata of the Python distributions of this machine, gets, queries, updates,
    pages and deletes, writes the message log of what it did, replays that log on the memory
    backend and compares the answers. Exits 1 when one differs.

    \b
    Example:
      holdfast demo --output demo-output
    """
    from holdfast_agents.demo.distributions import installed_documents
    from holdfast_agents.demo.running import run_demo
    from holdfast_agents.demo.story import DemoError
    from holdfast_backends import StorageError
    from holdfast_protocol import HoldfastError

    from .demo_show import DemoShow

    documents = installed_documents()
    try:
        with DemoShow() as show:
            show.opening(documents, output)
            result = run(run_demo(documents, output, show))
    except (DemoError, HoldfastError, StorageError) as error:
        fail(f"the demonstration failed: {error}")
    except OSError as error:
        fail(f"{output} cannot be written: {error.strerror or error}")
    show.closing(result)
    if not result.report.ok:
        raise typer.Exit(int(ExitCode.FAILED))
