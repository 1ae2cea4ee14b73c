"""The commands, put together."""

from typing import Annotated

import typer

from .demo import demo
from .dlq import dlq
from .doctor import doctor
from .migrate import migrate
from .record import record
from .replay import replay
from .send import send
from .serve import serve

app = typer.Typer(
    name="holdfast",
    help="Message-driven storage for systems made of many agents.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,  # they print local variables, and those hold passwords
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(demo)
app.command()(serve)
app.command()(send)
app.command()(record)
app.command()(replay)
app.add_typer(dlq)
app.command()(migrate)
app.command()(doctor)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"holdfast {version('holdfast')}")
        raise typer.Exit


@app.callback()
def _holdfast(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Message-driven storage for systems made of many agents.

    Begin with `holdfast demo`: it needs no server.
    """


def main() -> None:
    """The entry point of the `holdfast` command."""
    app()
