"""The Redis backend: one Redis server (6.2 or later), no modules."""

from .backend import DEFAULT_RETENTION_SECONDS, StoreBackend, system_clock
from .executor import Clock
from .opening import BackendOptions
from .redis_store import RedisStore


class RedisBackend(StoreBackend):
    """Keeps documents in Redis, under keys that begin with `{namespace}`.

    Args:
        url: `redis://[:password@]host:port/db` or `rediss://…`.
        namespace: the prefix of all keys.
        allow_unsafe: also open a Redis that may lose what it acknowledged.
        clock: gives the instant, microseconds since 1970.
        retention_seconds: how long a message's identity and reply are kept.

    Raises:
        ValueError: the URL is malformed.
    """

    def __init__(
        self,
        url: str,
        *,
        namespace: str = "holdfast",
        allow_unsafe: bool = False,
        clock: Clock = system_clock,
        retention_seconds: float = DEFAULT_RETENTION_SECONDS,
    ) -> None:
        store = RedisStore(url, namespace=namespace, allow_unsafe=allow_unsafe)
        super().__init__(store, clock=clock, retention_seconds=retention_seconds)


def open_redis(url: str, options: BackendOptions) -> RedisBackend:
    """The factory of `redis://` and `rediss://` URLs.

    Raises:
        ValueError: the URL is malformed.
    """
    return RedisBackend(
        url,
        namespace=options.namespace,
        allow_unsafe=options.allow_unsafe,
        clock=options.clock,
        retention_seconds=options.retention_seconds,
    )
