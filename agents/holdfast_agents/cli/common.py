"""What all commands share: how they fail, where they write, how they run asynchronous work.

Heavy imports stand inside functions here and in the commands: `holdfast --help` loads no driver.
"""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn, TypeVar

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from holdfast_agents.settings import Settings
    from holdfast_protocol.bus.contract import Bus
    from holdfast_protocol.errors import UnavailableError

T = TypeVar("T")

_AT_THE_DOOR: Final = "check user, password and virtual host in --bus or HOLDFAST_BUS"
_NOT_LET_IN: Final = frozenset(
    {
        "AuthenticationError",
        "ChannelAccessRefused",
        "ConnectionNotAllowed",
        "ConnectionRefusedByBrokerError",
        "ProbableAuthenticationError",
    }
)
"""What the bus tells as the `reason` of a refusal that is about who comes, and where to."""


class ExitCode(IntEnum):
    """What a command's exit status says to a script."""

    OK = 0
    FAILED = 1
    USAGE = 2
    TIMEOUT = 3


ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="TOML file of settings; default $HOLDFAST_CONFIG, else ./holdfast.toml if it exists.",
    ),
]
BusOption = Annotated[
    str | None,
    typer.Option(
        "--bus",
        metavar="URL",
        help="Broker, amqp://user:password@host:port/vhost; several hosts: host:port,host:port.",
    ),
]
BackendOption = Annotated[
    str | None,
    typer.Option(
        "--backend",
        metavar="URL",
        help="Store: sqlite:///file, postgresql://…, redis://… or memory://.",
    ),
]
NamespaceOption = Annotated[
    str | None, typer.Option("--namespace", metavar="NAME", help="Prefix of all broker objects.")
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one line of JSON, for a script to read.")
]


def fail(text: str, code: ExitCode = ExitCode.FAILED) -> NoReturn:
    """End the command with one line on stderr."""
    typer.echo(f"holdfast: {' '.join(text.split())}", err=True)
    raise typer.Exit(int(code))


def load_settings(options: Mapping[str, object], config: Path | None) -> "Settings":
    """The settings, or the end of the command (exit 2) with one line that names the fault."""
    from holdfast_agents.settings import SettingsError, load_settings

    try:
        return load_settings(options, config)
    except SettingsError as error:
        fail(str(error), ExitCode.USAGE)


@asynccontextmanager
async def reached_bus(url: str, namespace: str) -> AsyncIterator["Bus"]:
    """The bus, open; the end of the command (1) where the broker lets nobody in."""
    from holdfast_protocol.bus.opening import open_bus
    from holdfast_protocol.errors import UnavailableError

    async with AsyncExitStack() as stack:
        try:
            bus = await stack.enter_async_context(open_bus(url, namespace=namespace))
        except UnavailableError as error:
            fail("; ".join(filter(None, (error.message, advice_on(error)))))
        yield bus


def advice_on(error: "UnavailableError") -> str:
    """What to look at when a bus cannot be opened, if anybody can say; it quotes no URL."""
    reason = error.details.get("reason")
    if reason is None:
        return "is it running, and do host and port in --bus or HOLDFAST_BUS hold?"
    return _AT_THE_DOOR if reason in _NOT_LET_IN else ""


def scheme_of(url: str) -> str:
    """What may be told of a URL in a log: its kind, never a host or a password."""
    return url.partition("://")[0]


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run asynchronous work to its end, on uvloop where it is installed.

    What libraries log of their retries is silent: a command tells what came of it. `serve`
    takes their lines into its own log.
    """
    with _silent("aiormq", "holdfast"), asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(work)


@contextmanager
def _silent(*names: str) -> Iterator[None]:
    """Nothing of these loggers is told meanwhile; `serve` turns them on again for itself."""
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":
        return None
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def console(*, stderr: bool = False) -> "Console":
    """Where people read: plain text without a terminal, as wide as its content needs."""
    from rich.console import Console

    made = Console(stderr=stderr, highlight=False, soft_wrap=False)
    if not made.is_terminal:
        made = Console(stderr=stderr, highlight=False, width=100)
    return made
