"""What the parts share: the service contract, the record kept of each, and the one error."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

LOOPBACK = "127.0.0.1"
ACCOUNT = "holdfast"  # the user name on every server

Mode = Literal["external", "compose", "private"]


class ServiceError(Exception):
    """Something the person at the terminal has to know; printed as one message, exit 1."""


@dataclass(frozen=True)
class Process:
    """A process we started. `identity` tells it from a later process with the same pid."""

    pid: int
    identity: str


@dataclass
class Record:
    """What is kept of one service between two runs of the command.

    Ports and password outlive the process, so that a restarted server has the same URL.
    """

    mode: Mode
    password: str = ""
    ports: dict[str, int] = field(default_factory=dict)
    data: str = ""
    processes: dict[str, Process] = field(default_factory=dict)
    external: dict[str, str] = field(default_factory=dict)


class Service(Protocol):
    """A server that can be brought up privately; one implementation per product."""

    name: str
    """The name on the command line, in docker-compose.yml and of the data directory."""
    url_variable: str
    """The variable whose presence means: use this server, start none."""
    port_names: tuple[str, ...]
    """The loopback ports that a private instance needs."""
    packages: tuple[str, ...]
    """The Debian packages that bring the binaries."""
    start_timeout: float
    """Seconds that a private instance may take until it answers."""

    def installed(self) -> bool:
        """Whether the binaries are on this machine."""
        ...

    def start(self, record: Record, home: Path) -> None:
        """Start detached processes, noting each in `record.processes` at once.

        `home` is the private directory of this service. Raises ServiceError.
        """
        ...

    def stop_signals(self) -> Mapping[str, int]:
        """Process name → the signal of a clean stop, in the order of stopping."""
        ...

    def urls(self, record: Record) -> dict[str, str]:
        """Variable name → URL, for a private or a Compose instance."""
        ...

    def probe(self, urls: Mapping[str, str]) -> None:
        """Return when the server at `urls` answers; raise OSError or ServiceError otherwise."""
        ...
