"""Engines and their pools, from the URLs that a user writes."""

from typing import TYPE_CHECKING, Final

from sqlalchemy import URL, AsyncAdaptedQueuePool, Connection, NullPool, event, exc, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from holdfast_backends.errors import InvalidValueError

from .postgres_address import SCHEMES, PostgresAddress, parse_postgres

if TYPE_CHECKING:
    from .postgres_connecting import Greet

_ASYNCPG: Final = "postgresql+asyncpg://"  # only the dialect: `Connector` knows the servers
_SQLITE_SCHEMES: Final = ("sqlite", "sqlite+aiosqlite")
_CACHED_STATEMENTS: Final = 128

# The store looks up keys and walks indexes in their order, and nothing else: the planner is to
# choose that always, also where a plan was made while the table was small, or for no values in
# particular. So one plan serves all, and none is made anew at each call.
_SESSION: Final = {
    "application_name": "holdfast",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_seqscan": "off",
    "enable_sort": "off",
    "jit": "off",
    "plan_cache_mode": "force_generic_plan",
}


def is_postgres(url: str) -> bool:
    """Whether a URL means PostgreSQL."""
    return url.partition(":")[0] in SCHEMES


def sqlite_url(url: str) -> URL:
    """SQLAlchemy's URL for `sqlite:///relative.db`, `sqlite:////absolute.db` or `sqlite://`.

    Raises:
        InvalidValueError: no such URL.
    """
    try:
        parsed = make_url(url)
    except (exc.ArgumentError, ValueError) as error:
        raise InvalidValueError("this is no URL of SQLite") from error
    if parsed.drivername not in _SQLITE_SCHEMES:
        raise InvalidValueError("this is no URL of SQLite")
    if parsed.host or parsed.query:
        raise InvalidValueError(
            "a SQLite URL is sqlite:///relative.db, sqlite:////absolute.db or sqlite://"
        )
    return parsed.set(drivername="sqlite+aiosqlite", database=parsed.database or ":memory:")


def is_in_memory(url: URL) -> bool:
    """Whether a SQLite URL means a database that dies with its connection."""
    return url.database == ":memory:"


def postgres_engine(
    address: PostgresAddress,
    *,
    pool_size: int,
    connect_timeout: float,
    statement_timeout: float,
    lock_timeout: float,
    greet: "Greet",
) -> AsyncEngine:
    """An engine whose connections are used raw: it pools them, and nothing else.

    Timeouts in seconds; that of connecting is for each server. `greet` looks at each new
    connection. The server ends what takes too long; the driver waits a little longer,
    for the case that the server itself is gone.
    """
    session = {
        **_SESSION,
        "statement_timeout": _milliseconds(statement_timeout),
        "lock_timeout": _milliseconds(lock_timeout),
        "idle_in_transaction_session_timeout": _milliseconds(statement_timeout),
    }
    from .postgres_connecting import Connector

    connector = Connector(
        address,
        timeout=connect_timeout,
        settings=session,
        greet=greet,
        command_timeout=statement_timeout + connect_timeout,
    )
    return create_async_engine(
        _ASYNCPG,
        async_creator=connector.connect,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=statement_timeout,
        pool_use_lifo=True,  # few warm connections rather than many cold ones
        pool_reset_on_return=None,  # `postgres_session.py` returns only clean ones
    )


def sqlite_engine(url: URL, *, pool_size: int, busy_timeout: float) -> AsyncEngine:
    """An engine whose connections are used raw: it pools them, and nothing else.

    An in-memory database has one connection, which everybody shares in turn.
    """
    engine = create_async_engine(
        url,
        pool_size=1 if is_in_memory(url) else pool_size,
        max_overflow=0,
        pool_timeout=busy_timeout,
        pool_use_lifo=True,
        pool_reset_on_return=None,  # `sqlite_session.py` returns only clean ones
        poolclass=AsyncAdaptedQueuePool,  # not the pool that shares one in-memory connection
        connect_args=_sqlite_arguments(busy_timeout),
    )
    event.listen(engine.sync_engine, "connect", _configure_sqlite)
    return engine


def migration_engine(url: str, *, timeout: float) -> AsyncEngine:
    """An engine for a migration: transactions by SQLAlchemy, writing ones from the start."""
    if is_postgres(url):
        settings = {"application_name": "holdfast migrate", "lock_timeout": _milliseconds(timeout)}
        from .postgres_connecting import Connector

        connector = Connector(parse_postgres(url), timeout=timeout, settings=settings)
        return create_async_engine(_ASYNCPG, poolclass=NullPool, async_creator=connector.connect)
    engine = create_async_engine(
        sqlite_url(url), poolclass=NullPool, connect_args=_sqlite_arguments(timeout)
    )
    event.listen(engine.sync_engine, "connect", _configure_sqlite)
    event.listen(engine.sync_engine, "begin", _begin_immediate)
    return engine


def _sqlite_arguments(busy_timeout: float) -> dict[str, object]:
    return {
        "timeout": busy_timeout,
        "isolation_level": None,  # transactions begin where we say so
        "cached_statements": _CACHED_STATEMENTS,
    }


def _configure_sqlite(connection: DBAPIConnection, _record: object) -> None:
    try:
        cursor = connection.cursor()
        # Only FULL flushes each commit to the disk before it is acknowledged.
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA temp_store=MEMORY")
        cursor.close()
    except BaseException:
        connection.close()  # the pool does not know it yet, and would leave it to chance
        raise


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _milliseconds(seconds: float) -> str:
    return str(max(1, round(seconds * 1_000)))
