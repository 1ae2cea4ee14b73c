"""From a URL to a backend.

Backends are found by the scheme of the URL in the entry-point group `holdfast.backends`, ours
and third parties' alike: an entry point is a `BackendFactory`.
"""

from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Protocol

from .backend import (
    DEFAULT_EVENT_RETENTION_SECONDS,
    DEFAULT_RETENTION_SECONDS,
    system_clock,
)
from .contract import Backend
from .errors import InvalidValueError
from .executor import Clock

GROUP = "holdfast.backends"

_EXTRAS = {
    "sqlite": "sqlite",
    "postgres": "postgres",
    "postgresql": "postgres",
    "redis": "redis",
    "rediss": "redis",
    "redis+sentinel": "redis",
    "rediss+sentinel": "redis",
    "redis+cluster": "redis",
    "rediss+cluster": "redis",
}
"""The extra of our distribution that brings the driver of a scheme."""


@dataclass(frozen=True, slots=True)
class BackendOptions:
    """What every backend is opened with.

    Args:
        namespace: the prefix of keys where a store is shared with others (Redis).
        retention_seconds: how long a message's identity and reply are kept.
        keep_events: whether changes are put into the outbox.
        event_retention_seconds: how long they are kept there once they are published.
        allow_unsafe: also open a store that may lose what it acknowledged.
        pool_size: connections to a database server.
        clock: gives the instant, microseconds since 1970.
    """

    namespace: str = "holdfast"
    retention_seconds: float = DEFAULT_RETENTION_SECONDS
    keep_events: bool = True
    event_retention_seconds: float = DEFAULT_EVENT_RETENTION_SECONDS
    allow_unsafe: bool = False
    pool_size: int = 8
    clock: Clock = field(default=system_clock)


class BackendFactory(Protocol):
    """What an entry point of the group names."""

    def __call__(self, url: str, options: BackendOptions) -> Backend:
        """A backend for the URL, not yet entered.

        Raises:
            InvalidValueError: the URL is malformed. The text holds no password.
        """
        ...


def open_backend(url: str, options: BackendOptions | None = None) -> Backend:
    """A backend for the URL, not yet entered: `async with open_backend(url) as backend`.

    Raises:
        InvalidValueError: no backend has this scheme, its driver is not installed, or the URL is
            malformed. The text holds no password.
    """
    scheme, separator, _rest = url.partition("://")
    found = {point.name: point for point in entry_points(group=GROUP)}
    if not separator or scheme not in found:
        known = ", ".join(f"{name}://" for name in sorted(found))
        raise InvalidValueError(f"the backend's URL must begin with one of: {known}")
    try:
        factory: BackendFactory = found[scheme].load()
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get(scheme)
        advice = f": pip install 'holdfast[{extra}]'" if extra else ", which is not installed"
        raise InvalidValueError(f"the {scheme} backend needs {error.name}{advice}") from error
    return factory(url, options if options is not None else BackendOptions())
