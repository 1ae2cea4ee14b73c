"""Looking at a SQLite file before the driver does.

The driver works in a thread of its own, which a failed first call leaves behind for a moment;
what can be known without it is told at once, and as what it is.
"""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

from holdfast_backends.errors import StorageError

from .sqlite_errors import translate_sqlite
from .translation import outside_commit


async def check_file(database: str, *, timeout: float) -> None:
    """Check that a file is a database, or could become one. `timeout` in seconds.

    Raises:
        StorageError: its folder does not exist, or it is no database.
        UnavailableError: it cannot be opened now.
    """
    if not await asyncio.to_thread(Path(database).parent.is_dir):
        raise StorageError("the folder of the SQLite file does not exist: make it first")
    try:
        await asyncio.to_thread(_read, database, timeout)
    except (sqlite3.Error, OSError) as error:
        raise outside_commit(translate_sqlite(error)) from error


def _read(database: str, timeout: float) -> None:
    with closing(sqlite3.connect(database, timeout=timeout)) as connection:
        connection.execute("PRAGMA schema_version").fetchone()
