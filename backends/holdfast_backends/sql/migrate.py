"""Bringing a database to this version's schema.

Alembic keeps the migration at work in global variables, so only one at a time may run in a
process: each runs in a thread, with an event loop of its own, behind one lock.
"""

import asyncio
import threading
from dataclasses import dataclass
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

from .engines import is_postgres, migration_engine, sqlite_url
from .revision import current_revision, expected_revision, read_revision, refuse_newer
from .translation import Translate, outside_commit

__all__ = ["MigrationReport", "current_revision", "expected_revision", "migrate"]

_ALEMBIC = threading.Lock()
_TIMEOUT = 60.0  # seconds: to connect, and to wait for another migration
_MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = text("SELECT pg_advisory_xact_lock(1752132709, 1)")  # see the revision 0001


@dataclass(frozen=True, slots=True)
class MigrationReport:
    """What a migration did: the revision before (None: an empty database) and after."""

    before: str | None
    after: str

    @property
    def changed(self) -> bool:
        """Whether there was anything to do."""
        return self.before != self.after


async def migrate(url: str) -> MigrationReport:
    """Bring the database at a URL (`sqlite:///…`, `postgresql://…`) to this version's schema.

    All outstanding revisions are one transaction. Processes that migrate at once wait for each
    other; the later ones find nothing to do.

    Raises:
        InvalidValueError: no URL of these.
        SchemaError: the schema is newer than this version.
        UnavailableError: the database cannot be reached.
    """
    return await asyncio.to_thread(_migrate_alone, url)


def _migrate_alone(url: str) -> MigrationReport:
    with _ALEMBIC:
        return asyncio.run(_migrate(url))


async def _migrate(url: str) -> MigrationReport:
    driver_errors, translate = _driver(url)
    if not is_postgres(url):
        from .sqlite_probe import check_file

        await check_file(sqlite_url(url).database or "", timeout=_TIMEOUT)
    engine = migration_engine(url, timeout=_TIMEOUT)
    try:
        async with engine.begin() as connection:
            if is_postgres(url):
                await connection.execute(_LOCK)
            before = await connection.run_sync(read_revision)
            refuse_newer(before)
            await connection.run_sync(_upgrade)
        return MigrationReport(before, expected_revision())
    except driver_errors as error:
        raise outside_commit(translate(error)) from error
    finally:
        await engine.dispose()


def _driver(url: str) -> tuple[tuple[type[Exception], ...], Translate]:
    """The exceptions of a URL's driver, which alone must be installed, and what they become."""
    if is_postgres(url):
        from .postgres_errors import POSTGRES_ERRORS, translate_postgres

        return POSTGRES_ERRORS, translate_postgres
    from .sqlite_errors import SQLITE_ERRORS, translate_sqlite

    return SQLITE_ERRORS, translate_sqlite


def _upgrade(connection: Connection) -> None:
    config = Config()
    # A percent sign in the path is no interpolation of Alembic's.
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, expected_revision())
