"""What is PostgreSQL's own: schema, durability, plans, dead connections, locks and time limits."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection

from holdfast_backends.encoding import integer_key, sort_value
from holdfast_backends.errors import (
    InvalidValueError,
    SchemaError,
    UnavailableError,
    UnsafeStoreError,
)
from holdfast_backends.sql.engines import migration_engine
from holdfast_backends.sql.migrate import MigrationReport, expected_revision, migrate
from holdfast_backends.sql.postgres_store import PostgresStore
from holdfast_backends.sql.schema import VERSION_TABLE, metadata
from holdfast_backends.sql.statements import Statements, scan_values
from holdfast_backends.store import Changes, Head, Span, Wanted
from tests.conformance.store_contract.words import OWNER, TASKS, contents, keep, row

pytestmark = pytest.mark.postgres

DEADLINE = 30.0
NOTHING = Wanted([TASKS], [], [])


@pytest_asyncio.fixture
async def store(clean_postgres_url: str) -> AsyncIterator[PostgresStore]:
    """An open store with a name of its own among the server's sessions."""
    async with PostgresStore(clean_postgres_url, pool_size=4, lock_timeout=0.2) as opened:
        yield opened


@asynccontextmanager
async def _admin(url: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


# -- schema ------------------------------------------------------------------------------------


async def test_a_missing_schema_is_refused(fresh_postgres_url: str) -> None:
    with pytest.raises(SchemaError, match="holdfast migrate"):
        async with PostgresStore(fresh_postgres_url):
            pass


async def test_a_newer_schema_is_refused(fresh_postgres_url: str) -> None:
    await migrate(fresh_postgres_url)
    async with _admin(fresh_postgres_url) as connection:
        await connection.execute(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    with pytest.raises(SchemaError, match="upgrade holdfast"):
        async with PostgresStore(fresh_postgres_url):
            pass
    with pytest.raises(SchemaError, match="upgrade holdfast"):
        await migrate(fresh_postgres_url)


async def test_migrations_at_once_wait_for_each_other(fresh_postgres_url: str) -> None:
    reports = await asyncio.gather(*(migrate(fresh_postgres_url) for _ in range(3)))
    assert sorted(report.changed for report in reports) == [False, False, True]
    assert await migrate(fresh_postgres_url) == MigrationReport(
        expected_revision(), expected_revision()
    )


async def test_the_revisions_make_the_known_schema(
    migrated_postgres_url: str,
) -> None:
    def differences(connection: Connection) -> list[Any]:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        return list(compare_metadata(context, metadata))

    engine = migration_engine(migrated_postgres_url, timeout=10.0)
    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    await engine.dispose()


# -- durability --------------------------------------------------------------------------------


async def test_what_may_lose_commits_is_refused_unless_allowed(fresh_postgres_url: str) -> None:
    await migrate(fresh_postgres_url)
    database = fresh_postgres_url.rpartition("/")[2]
    async with _admin(fresh_postgres_url) as connection:
        await connection.execute(f'ALTER DATABASE "{database}" SET synchronous_commit = off')
    with pytest.raises(UnsafeStoreError, match="synchronous_commit"):
        async with PostgresStore(fresh_postgres_url):
            pass
    async with PostgresStore(fresh_postgres_url, allow_unsafe=True) as store:
        assert store.capabilities.durable
        assert not store.capabilities.crash_safe


async def test_capabilities(store: PostgresStore) -> None:
    capabilities = store.capabilities
    assert capabilities.durable
    assert capabilities.crash_safe
    assert capabilities.shared
    assert capabilities.indexes
    assert not capabilities.survives_failover  # one server


# -- connections -------------------------------------------------------------------------------


async def _sessions(url: str, state: str) -> int:
    async with _admin(url) as connection:
        query = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND application_name = 'holdfast' AND state LIKE $1"
        )
        return int(await connection.fetchval(query, state))


async def _kill(url: str) -> None:
    """End all sessions of stores, and wait until they are gone."""
    async with _admin(url) as connection:
        await connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'holdfast'"
        )


async def test_connections_that_died_in_the_pool_are_replaced_unnoticed(
    store: PostgresStore, clean_postgres_url: str
) -> None:
    await asyncio.gather(*(keep(store, row(1, {}), collection=f"c{n}") for n in range(4)))
    await _kill(clean_postgres_url)
    await keep(store, row(1, {"n": 1}))
    assert await contents(store) == [row(1, {"n": 1})]


async def test_a_connection_that_dies_in_a_unit_is_unavailability(
    store: PostgresStore, clean_postgres_url: str
) -> None:
    with pytest.raises(UnavailableError):
        async with store.write([TASKS]) as unit:
            await unit.load(NOTHING)
            await _kill(clean_postgres_url)
            await unit.commit(Changes(heads={TASKS: Head(5)}))
    await keep(store, row(1, {"n": 1}))
    assert await contents(store) == [row(1, {"n": 1})]


async def test_nothing_answers(unused_tcp_port: int) -> None:
    with pytest.raises(UnavailableError) as caught:
        async with PostgresStore(f"postgresql://me@127.0.0.1:{unused_tcp_port}/x"):
            pass
    assert "127.0.0.1" not in str(caught.value)


async def test_no_session_keeps_a_transaction_open(
    store: PostgresStore, clean_postgres_url: str
) -> None:
    """Whatever ended a unit: nothing, an error, a conflict, a cancellation."""
    async with store.write([TASKS]) as unit:
        await unit.load(NOTHING)
    async with store.read() as snapshot:
        await snapshot.load(NOTHING)
    with pytest.raises(ZeroDivisionError):
        async with store.write([TASKS]) as unit:
            await unit.load(NOTHING)
            raise ZeroDivisionError
    async with store.write([TASKS]) as unit:
        await unit.load(NOTHING)
        waiting = asyncio.create_task(keep(store, row(1, {})))
        await asyncio.wait([waiting], timeout=0.05)
        waiting.cancel()
        await asyncio.wait([waiting])
    assert waiting.cancelled()
    assert await _sessions(clean_postgres_url, "idle in transaction%") == 0


async def test_readers_get_a_connection_while_writers_queue(
    store: PostgresStore,
) -> None:
    async with store.write([TASKS]) as unit:
        await unit.load(NOTHING)
        queue = [asyncio.create_task(keep(store, row(n, {}))) for n in range(1, 9)]
        await asyncio.wait(queue, timeout=0.05)
        assert await asyncio.wait_for(contents(store), DEADLINE) == []
    await asyncio.gather(*queue, return_exceptions=True)


# -- locks -------------------------------------------------------------------------------------


async def test_a_wait_for_a_lock_is_bounded(store: PostgresStore) -> None:
    async with store.write([TASKS]) as unit:
        await unit.load(NOTHING)
        with pytest.raises(UnavailableError):
            await keep(store, row(1, {}))
    await keep(store, row(1, {}))


async def test_units_of_different_collections_do_not_wait(store: PostgresStore) -> None:
    async with store.write([TASKS]) as unit:
        await unit.load(NOTHING)
        await asyncio.wait_for(keep(store, row(1, {}), collection="notes"), DEADLINE)
        await unit.commit(Changes(heads={TASKS: Head(2)}))


async def test_who_locks_many_locks_everything(store: PostgresStore) -> None:
    names = sorted(f"c{number}" for number in range(100))
    async with store.write(names) as unit:
        await unit.load(Wanted(names, [], []))
        with pytest.raises(UnavailableError):
            await keep(store, row(1, {}), collection="notes")


# -- plans -------------------------------------------------------------------------------------


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize(
    ("span", "index"),
    [
        (Span(TASKS), "holdfast_records_pk"),
        (Span(TASKS, after=(b"", integer_key(700))), "holdfast_records_pk"),
        (Span(TASKS, 0), "holdfast_records_i0"),
        (Span(TASKS, 0, sort_value("3"), sort_value("7")), "holdfast_records_i0"),
        (Span(TASKS, 0, after=(sort_value("5"), integer_key(9))), "holdfast_records_i0"),
    ],
)
async def test_every_scan_walks_an_index(
    store: PostgresStore, span: Span, index: str, descending: bool
) -> None:
    """Also by a plan made for an empty table and no values in particular: it is kept for all."""
    statement = Statements(store._engine.dialect).scan(span.slot, descending)
    arguments = statement.arguments(scan_values(span, 10))
    async with store._pool.session("BEGIN") as session:
        await session.fetch(statement.text, arguments)
        rows = [row(number, {"owner": str(number % 10)}) for number in range(1, 1_000)]
        await keep(store, *rows, slots=[OWNER])
        plan = await session.fetch(f"EXPLAIN (COSTS OFF) {statement.text}", arguments)
    lines = [line for (line,) in plan]
    walk = "Index Scan Backward using" if descending else "Index Scan using"
    assert any(f"{walk} {index} " in line for line in lines), lines
    assert not any("Sort" in line for line in lines), lines


# -- URLs --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url", ["mysql://x/y", "postgresql+psycopg://x/y", "postgresql://x/y?secret=1", "no url", ""]
)
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(InvalidValueError):
        PostgresStore(url)
