"""The SQLite backend: one file on this machine, created where there is none."""

from .backend import (
    DEFAULT_EVENT_RETENTION_SECONDS,
    DEFAULT_RETENTION_SECONDS,
    StoreBackend,
    system_clock,
)
from .executor import Clock
from .opening import BackendOptions
from .sql.sqlite_store import SqliteStore


class SqliteBackend(StoreBackend):
    """Keeps documents in a SQLite file; every commit is flushed to the disk.

    Args:
        url: `sqlite:///relative.db`, `sqlite:////absolute.db`, or `sqlite://` for memory.
        clock: gives the instant, microseconds since 1970.
        retention_seconds: how long a message's identity and reply are kept.
        keep_events: whether changes are put into the outbox.
        event_retention_seconds: how long they are kept there.

    Raises:
        InvalidValueError: the URL is malformed.
    """

    def __init__(
        self,
        url: str,
        *,
        clock: Clock = system_clock,
        retention_seconds: float = DEFAULT_RETENTION_SECONDS,
        keep_events: bool = True,
        event_retention_seconds: float = DEFAULT_EVENT_RETENTION_SECONDS,
    ) -> None:
        super().__init__(
            SqliteStore(url),
            clock=clock,
            retention_seconds=retention_seconds,
            keep_events=keep_events,
            event_retention_seconds=event_retention_seconds,
        )


def open_sqlite(url: str, options: BackendOptions) -> SqliteBackend:
    """The factory of `sqlite://` URLs.

    Raises:
        InvalidValueError: the URL is malformed.
    """
    return SqliteBackend(
        url,
        clock=options.clock,
        retention_seconds=options.retention_seconds,
        keep_events=options.keep_events,
        event_retention_seconds=options.event_retention_seconds,
    )
