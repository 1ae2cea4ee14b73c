"""Whether a URL or a name can be used at all, before anything is opened. Exit 2 if not."""

from collections.abc import Sequence

from holdfast_agents.wiring import AGENTS
from holdfast_backends import StorageError
from holdfast_backends.opening import BackendOptions, open_backend
from holdfast_protocol.bus.opening import open_bus

from .common import ExitCode, fail, scheme_of


def check_bus(url: str, namespace: str) -> None:
    """End the command where no bus can be made of the URL."""
    try:
        open_bus(url, namespace=namespace)
    except ValueError as error:
        fail(f"bus: {error}", ExitCode.USAGE)


def check_reachable_bus(url: str, namespace: str) -> None:
    """End the command where no other process could be met on the bus."""
    check_bus(url, namespace)
    if scheme_of(url) == "memory":
        text = "bus: memory:// lives inside one process, and nobody else can reach it"
        fail(f"{text}; use amqp://, or `holdfast_agents.embedded` in a program", ExitCode.USAGE)


def check_backend(url: str) -> None:
    """End the command where no backend can be made of the URL."""
    try:
        open_backend(url, BackendOptions())
    except (ValueError, StorageError) as error:
        fail(f"backend: {error}", ExitCode.USAGE)


def check_agents(names: Sequence[str]) -> None:
    """End the command where an agent is asked for that there is not."""
    for name in names:
        if name not in AGENTS:
            known = ", ".join(sorted(AGENTS))
            fail(f"agents: there is no agent {name}; there are: {known}", ExitCode.USAGE)
