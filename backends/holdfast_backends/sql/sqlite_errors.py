"""SQLite's exceptions, and aiosqlite's and SQLAlchemy's around them, as ours."""

import sqlite3
from typing import Final

from sqlalchemy import exc

from holdfast_backends.errors import StorageError, TooLargeError, UnavailableError
from holdfast_backends.store import CommitConflictError

from .translation import (
    BUSY,
    DAMAGED,
    FAILED,
    FULL,
    READ_ONLY,
    REFUSED,
    SLOW,
    UNREACHABLE,
    Translated,
    of_sqlalchemy,
)

SQLITE_ERRORS: Final = (
    sqlite3.Error,
    sqlite3.Warning,
    exc.SQLAlchemyError,
    exc.EmulatedDBAPIException,
    OSError,
    ValueError,  # of aiosqlite, on a closed connection
    OverflowError,  # an integer beyond 64 bits
)
"""All that a call into the driver raises when the store fails."""

# By extended result code, or by the primary one (the low eight bits).
CONFLICTS: Final = frozenset(
    {sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_UNIQUE}
)
UNAVAILABLE: Final = {
    sqlite3.SQLITE_ABORT: UNREACHABLE,
    sqlite3.SQLITE_BUSY: BUSY,
    sqlite3.SQLITE_CANTOPEN: UNREACHABLE,
    sqlite3.SQLITE_FULL: FULL,
    sqlite3.SQLITE_INTERRUPT: SLOW,
    sqlite3.SQLITE_IOERR: UNREACHABLE,
    sqlite3.SQLITE_LOCKED: BUSY,
    sqlite3.SQLITE_NOMEM: FULL,
    sqlite3.SQLITE_PROTOCOL: BUSY,
    sqlite3.SQLITE_SCHEMA: BUSY,
}
STORAGE: Final = {
    sqlite3.SQLITE_AUTH: REFUSED,
    sqlite3.SQLITE_CORRUPT: DAMAGED,
    sqlite3.SQLITE_NOTADB: DAMAGED,
    sqlite3.SQLITE_PERM: REFUSED,
    sqlite3.SQLITE_READONLY: READ_ONLY,
}


def translate_sqlite(error: BaseException) -> Translated:
    """Ours for an exception of sqlite3, aiosqlite, SQLAlchemy or the operating system."""
    if isinstance(error, exc.SQLAlchemyError):
        return of_sqlalchemy(error, translate_sqlite)
    if isinstance(error, sqlite3.Error):
        return of_result_code(getattr(error, "sqlite_errorcode", None))
    if isinstance(error, exc.EmulatedDBAPIException) and error.__cause__ is not None:
        return translate_sqlite(error.__cause__)
    if isinstance(error, TimeoutError):
        return UnavailableError(SLOW)
    if isinstance(error, OSError):
        return UnavailableError(UNREACHABLE)
    return StorageError(FAILED)


def of_result_code(code: int | None) -> Translated:
    """Ours for SQLite's extended result code; None where Python itself complains."""
    if code is None:
        return StorageError(FAILED)
    if code in CONFLICTS:
        return CommitConflictError()
    primary = code & 0xFF
    if primary == sqlite3.SQLITE_TOOBIG:
        return TooLargeError("the store cannot keep a value of this size")
    if primary in UNAVAILABLE:
        return UnavailableError(UNAVAILABLE[primary])
    return StorageError(STORAGE.get(primary, FAILED))
