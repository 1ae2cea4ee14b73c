"""A database of an earlier version is brought to this one's schema, with all that it holds."""

import asyncio
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

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
