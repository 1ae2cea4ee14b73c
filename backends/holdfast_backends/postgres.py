"""The PostgreSQL backend: many processes on many machines; `holdfast migrate` prepares it."""

from .backend import (
    DEFAULT_EVENT_RETENTION_SECONDS,
    DEFAULT_RETENTION_SECONDS,
    StoreBackend,
    system_clock,
)
from .executor import Clock
from .opening import BackendOptions
from .sql.postgres_store import PostgresStore


class PostgresBackend(StoreBackend):
    """Keeps documents in a PostgreSQL database (12 or later).

    Args:
        url: `postgresql://user:password@host:port/database`, or several hosts with their ports,
            separated by commas: the one that takes writes is found for each connection.
        pool_size: connections, at most.
        allow_unsafe: also open a server that may lose what it acknowledged.
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
        pool_size: int = 8,
        allow_unsafe: bool = False,
        clock: Clock = system_clock,
        retention_seconds: float = DEFAULT_RETENTION_SECONDS,
        keep_events: bool = True,
        event_retention_seconds: float = DEFAULT_EVENT_RETENTION_SECONDS,
    ) -> None:
        store = PostgresStore(url, pool_size=pool_size, allow_unsafe=allow_unsafe)
        super().__init__(
            store,
            clock=clock,
            retention_seconds=retention_seconds,
            keep_events=keep_events,
            event_retention_seconds=event_retention_seconds,
        )


def open_postgres(url: str, options: BackendOptions) -> PostgresBackend:
    """The factory of `postgresql://` and `postgres://` URLs.

    Raises:
        InvalidValueError: the URL is malformed.
    """
    return PostgresBackend(
        url,
        pool_size=options.pool_size,
        allow_unsafe=options.allow_unsafe,
        clock=options.clock,
        retention_seconds=options.retention_seconds,
        keep_events=options.keep_events,
        event_retention_seconds=options.event_retention_seconds,
    )
