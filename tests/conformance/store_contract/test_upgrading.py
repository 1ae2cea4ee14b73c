"""A database of an earlier version is brought to this one's schema, with all that it holds."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from holdfast_backends.encoding import integer_key
from holdfast_backends.errors import SchemaError
from holdfast_backends.sql import migrations
from holdfast_backends.sql.engines import migration_engine
from holdfast_backends.sql.migrate import MigrationReport, expected_revision, migrate
from holdfast_backends.sql.postgres_store import PostgresStore
from holdfast_backends.sql.sqlite_store import SqliteStore
from holdfast_backends.store import Head, IndexSlot, Store, StoredReply, Wanted
from tests.conformance.store_contract.words import TASKS, contents, event, load, outbox, row, tell

_HEAD = """
INSERT INTO holdfast_collections (name, last_id, slots)
VALUES ('tasks', 7, '[[0,["owner"],true,3]]')
"""
_RECORD = """
INSERT INTO holdfast_records (collection, key, version, document, created_at, updated_at, i0)
VALUES ('tasks', :key, 1, :document, 1, 1, :owner)
"""
_MESSAGE = """
INSERT INTO holdfast_messages (sender, message_id, digest, outcome, at)
VALUES ('me', 'm', :digest, :outcome, 1)
"""
_REPLY = StoredReply(b"digest", b"outcome", 1)
_KEPT = row(1, {"owner": None})


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of a database without a schema."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'former.db'}"
    found: str = request.getfixturevalue("fresh_postgres_url")
    return found


def _store(url: str) -> Store:
    return SqliteStore(url) if url.startswith("sqlite") else PostgresStore(url, pool_size=2)


def _fill(connection: Connection) -> None:
    """The schema of revision 0001, and a record, an index and a reply in it."""
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.attributes["connection"] = connection
    command.upgrade(config, "0001")
    record = {"key": integer_key(1), "document": _KEPT.document, "owner": b"\x00"}
    reply = {"digest": _REPLY.digest, "outcome": _REPLY.outcome}
    connection.exec_driver_sql(_HEAD)  # as it stands: what looks like a parameter is JSON
    connection.execute(text(_RECORD), record)
    connection.execute(text(_MESSAGE), reply)


async def _make_former(url: str) -> None:
    engine = migration_engine(url, timeout=10.0)
    async with engine.begin() as connection:
        await connection.run_sync(_fill)
    await engine.dispose()


async def test_a_database_of_revision_0001_is_refused_until_migrated(url: str) -> None:
    await _make_former(url)
    with pytest.raises(SchemaError, match="holdfast migrate"):
        async with _store(url):
            pass
    assert await migrate(url) == MigrationReport("0001", expected_revision())
    async with _store(url):
        pass


async def test_a_migrated_database_holds_what_it_held_and_has_seen_no_changes(url: str) -> None:
    await _make_former(url)
    await migrate(url)
    head = Head(8, (IndexSlot(0, ("owner",), True, 3),))
    async with _store(url) as store:
        assert await contents(store) == [_KEPT]
        loaded = await load(store, Wanted([TASKS], [], [("me", "m")]))
        assert loaded.heads == await store.heads() == {TASKS: head}
        assert loaded.replies == {("me", "m"): _REPLY}
        assert await outbox(store) == []
        assert await store.unpublished() == {}
        await tell(store, event(1))
        assert await outbox(store) == [event(1)]
        assert await store.heads() == {TASKS: head._replace(sequence=1)}


async def test_migrations_at_once_upgrade_once(url: str) -> None:
    await _make_former(url)
    reports = await asyncio.gather(*(migrate(url) for _ in range(3)))
    assert sorted(report.changed for report in reports) == [False, False, True]


# -- processes of the former version -----------------------------------------------------------

# What revision 0001 was worked on with: what a unit begins with and what changes a head.
_LOAD = "SELECT * FROM holdfast_load('{tasks}', '{}', '{}', '{}', '{}')"
_OPEN = "SELECT * FROM holdfast_open(false, '{tasks}', '{tasks}', '{}', '{}', '{}', '{}')"
_FORMER_ON_POSTGRES = [
    _LOAD,
    _OPEN,
    "SELECT * FROM holdfast_open(true, '{}', '{}', '{}', '{}', '{}', '{}')",
    """
    SELECT holdfast_append(
        'tasks', 7, 8, 1, ARRAY['{}'::bytea], '{}', '{me}', '{n}', '{digest}', '{outcome}')
    """,
    """
    WITH part0 AS (
        INSERT INTO holdfast_collections (name, last_id, slots) VALUES ('tasks', 8, '[]')
        ON CONFLICT (name) DO UPDATE SET last_id = excluded.last_id, slots = excluded.slots
    ) SELECT 1
    """,
]
_LOOK_UP = """
WITH w (a) AS (VALUES ('tasks'))
SELECT name, last_id, slots FROM w JOIN holdfast_collections ON name = a
"""
_FORMER_ON_SQLITE = [
    _LOOK_UP,
    """
    INSERT INTO holdfast_collections (name, last_id, slots) VALUES ('tasks', 8, '[]')
    ON CONFLICT (name) DO UPDATE SET last_id = excluded.last_id, slots = excluded.slots
    """,
]
_UPDATE = "UPDATE holdfast_records SET version = 2 WHERE collection = 'tasks'"
DEADLINE = 30.0


@asynccontextmanager
async def _transaction(url: str) -> AsyncIterator[AsyncConnection]:
    engine = migration_engine(url, timeout=10.0)
    try:
        async with engine.begin() as connection:
            yield connection
    finally:
        await engine.dispose()


async def test_nothing_of_the_former_version_gets_through_after_the_upgrade(url: str) -> None:
    await _make_former(url)
    on_sqlite = url.startswith("sqlite")
    for statement in _FORMER_ON_SQLITE if on_sqlite else _FORMER_ON_POSTGRES:
        async with _transaction(url) as connection:
            await connection.exec_driver_sql(statement)
            await connection.rollback()
    await migrate(url)
    for statement in _FORMER_ON_SQLITE if on_sqlite else _FORMER_ON_POSTGRES:
        with pytest.raises(DBAPIError):
            async with _transaction(url) as connection:
                await connection.exec_driver_sql(statement)
    async with _store(url) as store:
        assert await store.heads() == {TASKS: Head(8, (IndexSlot(0, ("owner",), True, 3),))}
        assert await contents(store) == [_KEPT]
        assert await outbox(store) == []


async def test_the_upgrade_waits_for_units_of_the_former_version(url: str) -> None:
    await _make_former(url)
    async with _transaction(url) as connection:
        await connection.exec_driver_sql(_LOOK_UP if url.startswith("sqlite") else _OPEN)
        upgrade = asyncio.create_task(migrate(url))
        if not url.startswith("sqlite"):
            await _waiting(url, 1)
        await connection.exec_driver_sql(_UPDATE)
    assert (await upgrade).changed
    async with _store(url) as store:
        assert await contents(store) == [_KEPT._replace(version=2)]


async def _waiting(url: str, count: int) -> None:
    """Until so many sessions of the database wait for a lock."""
    query = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    connection: Any = await asyncpg.connect(url)
    async with asyncio.timeout(DEADLINE):
        while await connection.fetchval(query) < count:  # noqa: ASYNC110 - nobody announces it
            await asyncio.sleep(0.01)
    await connection.close()


@pytest.mark.postgres
@pytest.mark.parametrize("before", [[], [_LOAD], [_OPEN], [_LOAD, _OPEN]])
async def test_who_waits_for_the_upgrade_does_not_get_through_either(
    fresh_postgres_url: str, before: list[str]
) -> None:
    """Whatever of the former schema the session remembers of its earlier statements."""
    await _make_former(fresh_postgres_url)
    late: Any = await asyncpg.connect(fresh_postgres_url)
    for statement in before:
        await late.fetch(statement)
    async with _transaction(fresh_postgres_url) as connection:
        await connection.exec_driver_sql(_OPEN.replace("tasks", "notes"))
        upgrade = asyncio.create_task(migrate(fresh_postgres_url))
        await _waiting(fresh_postgres_url, 1)
        await late.execute("BEGIN")
        waiting = asyncio.create_task(late.fetch(_OPEN))
        await _waiting(fresh_postgres_url, 2)
    with pytest.raises(asyncpg.PostgresError, match=r"last_id|holdfast_load"):
        await waiting
    await late.close()
    assert (await upgrade).changed
