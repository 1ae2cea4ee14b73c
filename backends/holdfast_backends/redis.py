"""The Redis backend: one server (6.2 or later), servers behind sentinels, or a cluster; no
modules."""

from .backend import (
    DEFAULT_EVENT_RETENTION_SECONDS,
    DEFAULT_RETENTION_SECONDS,
    StoreBackend,
    system_clock,
)
from .executor import Clock
from .opening import BackendOptions
from .redis_store import RedisStore


class RedisBackend(StoreBackend):
    """Keeps documents in Redis, under keys that begin with `{namespace}`.

    Args:
        url: `redis://[:password@]host:port/db`, `redis+sentinel://[:password@]host:port,…/name/db`
            or `redis+cluster://[:password@]host:port,…/`; with TLS `rediss…`.
        namespace: the prefix of all keys; a `?namespace=` in the URL wins.
        pool_size: connections, at most.
        allow_unsafe: also open a Redis that may lose what it acknowledged.
        clock: gives the instant, microseconds since 1970.
        retention_seconds: how long a message's identity and reply are kept.
        keep_events: whether changes are put into the outbox.
        event_retention_seconds: how long they are kept there.

    Raises:
        InvalidValueError: the URL or the namespace is malformed.
    """

    def __init__(
        self,
        url: str,
        *,
        namespace: str = "holdfast",
        pool_size: int = 8,
        allow_unsafe: bool = False,
        clock: Clock = system_clock,
        retention_seconds: float = DEFAULT_RETENTION_SECONDS,
        keep_events: bool = True,
        event_retention_seconds: float = DEFAULT_EVENT_RETENTION_SECONDS,
    ) -> None:
        store = RedisStore(
            url, namespace=namespace, allow_unsafe=allow_unsafe, connections=pool_size
        )
        super().__init__(
            store,
            clock=clock,
            retention_seconds=retention_seconds,
            keep_events=keep_events,
            event_retention_seconds=event_retention_seconds,
        )


def open_redis(url: str, options: BackendOptions) -> RedisBackend:
    """The factory of `redis://`, `redis+sentinel://`, `redis+cluster://` URLs, and `rediss…`.

    Raises:
        InvalidValueError: the URL or the namespace is malformed.
    """
    return RedisBackend(
        url,
        namespace=options.namespace,
        pool_size=options.pool_size,
        allow_unsafe=options.allow_unsafe,
        clock=options.clock,
        retention_seconds=options.retention_seconds,
        keep_events=options.keep_events,
        event_retention_seconds=options.event_retention_seconds,
    )
