"""What is SQLite's own: the file, its schema and its journal, waiting for other processes."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from holdfast_backends.errors import InvalidValueError, SchemaError, StorageError, UnavailableError
from holdfast_backends.sql import migrations
from holdfast_backends.sql.engines import sqlite_url
from holdfast_backends.sql.migrate import MigrationReport, expected_revision, migrate
from holdfast_backends.sql.schema import REVISIONS, VERSION_TABLE, metadata
from holdfast_backends.sql.sqlite_store import SqliteStore
from holdfast_backends.sql.statements import Statements, scan_values
from holdfast_backends.store import Span, Wanted
from tests.conformance.store_contract.words import OWNER, TASKS, contents, keep, row


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where a database may be made; the name is strange on purpose."""
    return tmp_path / "100% & ünïcode #1?.db"


@pytest.fixture
def url(file: Path) -> str:
    """The URL of that file."""
    return f"sqlite:///{quote(str(file))}"


def _run(file: Path, *statements: str) -> list[Any]:
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        return [connection.execute(statement).fetchall() for statement in statements]


# -- the file ----------------------------------------------------------------------------------


async def test_a_missing_file_is_made(url: str, file: Path) -> None:
    async with SqliteStore(url) as store:
        await keep(store, row(1, {"n": 1}))
    assert _run(file, "SELECT count(*) FROM holdfast_records") == [[(1,)]]
    assert await migrate(url) == MigrationReport(expected_revision(), expected_revision())


async def test_a_relative_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with SqliteStore("sqlite:///here.db"):
        pass
    assert (tmp_path / "here.db").exists()


async def test_stores_that_make_the_same_file_at_once(url: str) -> None:
    stores = [SqliteStore(url) for _ in range(4)]
    await asyncio.gather(*(store.__aenter__() for store in stores))
    await asyncio.gather(*(keep(s, row(n, {})) for n, s in enumerate(stores, start=1)))
    assert len(await contents(stores[0])) == 4
    for store in stores:
        await store.__aexit__(None, None, None)


async def test_a_folder_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="folder of the SQLite file does not exist"):
        async with SqliteStore(f"sqlite:///{tmp_path / 'missing' / 'a.db'}"):
            pass


@pytest.fixture
def no_database(file: Path) -> None:
    """Something else where the database should be."""
    file.write_bytes(b"something else entirely\n" * 100)


@pytest.mark.usefixtures("no_database")
async def test_a_file_that_is_no_database(url: str) -> None:
    with pytest.raises(StorageError, match="damaged"):
        async with SqliteStore(url):
            pass


async def test_memory_is_empty_each_time() -> None:
    store = SqliteStore("sqlite://")
    assert not store.capabilities.durable
    for _ in range(2):
        async with store:
            await keep(store, row(1, {}))
            assert len(await contents(store)) == 1


# -- schema ------------------------------------------------------------------------------------


async def test_another_applications_file_is_refused_until_migrated(url: str, file: Path) -> None:
    _run(file, "CREATE TABLE alembic_version (version_num text)", "CREATE TABLE tasks (id)")
    with pytest.raises(SchemaError, match="holdfast migrate"):
        async with SqliteStore(url):
            pass
    assert await migrate(url) == MigrationReport(None, expected_revision())
    async with SqliteStore(url) as store:
        await keep(store, row(1, {}))


async def test_a_newer_schema_is_refused(url: str, file: Path) -> None:
    await migrate(url)
    _run(file, f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    with pytest.raises(SchemaError, match="upgrade holdfast"):
        async with SqliteStore(url):
            pass


async def test_the_revisions_make_the_schema_that_the_code_knows(url: str) -> None:
    def differences(connection: Connection) -> list[Any]:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        return list(compare_metadata(context, metadata))

    await migrate(url)
    engine = create_async_engine(sqlite_url(url))
    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    await engine.dispose()


def test_the_code_names_all_revisions() -> None:
    scripts = ScriptDirectory(str(Path(migrations.__file__).parent))
    found = [script.revision for script in scripts.walk_revisions()]
    assert tuple(reversed(found)) == REVISIONS
    assert scripts.get_current_head() == expected_revision()


# -- journal -----------------------------------------------------------------------------------


async def test_every_commit_is_flushed_to_the_disk(url: str, file: Path) -> None:
    async with SqliteStore(url) as store, store.write([TASKS]) as unit:
        assert await unit._connection.fetch("PRAGMA synchronous", ()) == [(2,)]
    assert _run(file, "PRAGMA journal_mode") == [[("wal",)]]


# -- others ------------------------------------------------------------------------------------


@pytest.fixture
def writing(file: Path) -> Iterator[sqlite3.Connection]:
    """Another process that writes to the file, and has not finished."""
    asyncio.run(migrate(f"sqlite:///{quote(str(file))}"))
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        yield connection


async def test_a_wait_for_another_process_is_bounded(url: str, writing: sqlite3.Connection) -> None:
    async with SqliteStore(url, busy_timeout=0.1) as store:
        writing.execute("BEGIN IMMEDIATE")
        with pytest.raises(UnavailableError):
            await keep(store, row(1, {}))
        assert await contents(store) == []
        writing.execute("ROLLBACK")
        await keep(store, row(1, {}))
        assert len(await contents(store)) == 1


async def test_a_wait_for_another_coroutine_is_bounded(url: str) -> None:
    async with SqliteStore(url, busy_timeout=0.1) as store:
        async with store.write([TASKS]) as unit:
            await unit.load(Wanted([TASKS], [], []))
            with pytest.raises(UnavailableError):
                await keep(store, row(1, {}))
        await keep(store, row(1, {}))


async def test_readers_do_not_wait_for_the_writer(url: str) -> None:
    async with SqliteStore(url, busy_timeout=5) as store, store.write([TASKS]) as unit:
        await unit.load(Wanted([TASKS], [], []))
        assert await asyncio.gather(*(contents(store) for _ in range(20))) == [[]] * 20


# -- plans -------------------------------------------------------------------------------------


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize(
    ("slot", "index", "bounds"),
    [
        (None, "sqlite_autoindex_holdfast_records_1", "(collection=? AND key>? AND key<?)"),
        (3, "holdfast_records_i3", "(collection=? AND (i3,key)>(?,?) AND (i3,key)<(?,?))"),
    ],
)
async def test_every_scan_walks_an_index(
    url: str, slot: int | None, index: str, bounds: str, descending: bool
) -> None:
    async with SqliteStore(url) as store, store.write([TASKS]) as unit:
        statement = Statements(store._engine.dialect).scan(slot, descending)
        arguments = statement.arguments(scan_values(Span(TASKS, slot), 10))
        plan = await unit._connection.fetch(f"EXPLAIN QUERY PLAN {statement.text}", arguments)
    assert [line[-1] for line in plan] == [f"SEARCH holdfast_records USING INDEX {index} {bounds}"]


async def test_an_index_is_kept_of_what_it_was_declared_for(url: str, file: Path) -> None:
    async with SqliteStore(url) as store:
        await keep(store, row(1, {"owner": "a"}), slots=[OWNER])
        await keep(store, row(2, {"owner": "b"}), collection="notes")
    query = "SELECT collection FROM holdfast_records WHERE i0 IS NOT NULL"
    assert _run(file, query) == [[(TASKS,)]]


@pytest.mark.parametrize("url", ["sqlite://host/x.db", "sqlite:///x.db?mode=ro", "mysql:///x", ""])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(InvalidValueError):
        SqliteStore(url)
