"""Every exception of asyncpg, sqlite3 and SQLAlchemy becomes one of ours, family by family."""

import inspect
import sqlite3
import ssl
from collections.abc import Iterator

import pytest
from asyncpg import exceptions as pg
from sqlalchemy import exc

from holdfast_backends.errors import SchemaError, StorageError, TooLargeError, UnavailableError
from holdfast_backends.sql.postgres_errors import POSTGRES_ERRORS, translate_postgres
from holdfast_backends.sql.sqlite_errors import SQLITE_ERRORS, of_result_code, translate_sqlite
from holdfast_backends.sql.translation import outside_commit
from holdfast_backends.store import CommitConflictError

SECRET = "secret: SELECT * FROM accounts at /var/lib/db on db.example:5432"

# The families of SQLSTATE, as its first two characters; single codes that differ from theirs.
FAMILIES = {
    "00": StorageError,
    "01": StorageError,
    "02": StorageError,
    "03": StorageError,
    "08": UnavailableError,
    "09": StorageError,
    "0A": UnavailableError,
    "0B": StorageError,
    "0F": StorageError,
    "0L": StorageError,
    "0P": StorageError,
    "0Z": StorageError,
    "10": StorageError,
    "20": StorageError,
    "21": StorageError,
    "22": StorageError,
    "23": StorageError,
    "24": StorageError,
    "25": StorageError,
    "26": StorageError,
    "27": StorageError,
    "28": UnavailableError,
    "2B": StorageError,
    "2D": StorageError,
    "2F": StorageError,
    "34": StorageError,
    "38": StorageError,
    "39": StorageError,
    "3B": StorageError,
    "3D": UnavailableError,
    "3F": SchemaError,
    "40": UnavailableError,
    "42": StorageError,
    "44": StorageError,
    "53": UnavailableError,
    "54": StorageError,
    "55": UnavailableError,
    "57": UnavailableError,
    "58": UnavailableError,
    "72": StorageError,
    "F0": StorageError,
    "HV": StorageError,
    "P0": StorageError,
    "XX": StorageError,
}
CODES = {
    "23505": CommitConflictError,
    "25006": UnavailableError,
    "25P03": UnavailableError,
    "25P04": UnavailableError,
    "40001": CommitConflictError,
    "40P01": CommitConflictError,
    "42703": SchemaError,
    "42883": SchemaError,
    "42P01": SchemaError,
}
# What asyncpg raises about itself, without a SQLSTATE.
CLIENT = {
    pg.ClientConfigurationError: StorageError,
    pg.FatalPostgresError: StorageError,
    pg.InterfaceError: UnavailableError,
    pg.InternalClientError: UnavailableError,
    pg.OutdatedSchemaCacheError: UnavailableError,
    pg.PostgresError: StorageError,
    pg.ProtocolError: UnavailableError,
    pg.TargetServerAttributeNotMatched: UnavailableError,
    pg.UnknownPostgresError: StorageError,
    pg.UnsupportedClientFeatureError: StorageError,
    pg.UnsupportedServerFeatureError: StorageError,
}
# By SQLite's primary result code; by extended code where that differs.
RESULT_CODES = {
    sqlite3.SQLITE_ERROR: StorageError,
    sqlite3.SQLITE_INTERNAL: StorageError,
    sqlite3.SQLITE_PERM: StorageError,
    sqlite3.SQLITE_ABORT: UnavailableError,
    sqlite3.SQLITE_BUSY: UnavailableError,
    sqlite3.SQLITE_LOCKED: UnavailableError,
    sqlite3.SQLITE_NOMEM: UnavailableError,
    sqlite3.SQLITE_READONLY: StorageError,
    sqlite3.SQLITE_INTERRUPT: UnavailableError,
    sqlite3.SQLITE_IOERR: UnavailableError,
    sqlite3.SQLITE_CORRUPT: StorageError,
    sqlite3.SQLITE_NOTFOUND: StorageError,
    sqlite3.SQLITE_FULL: UnavailableError,
    sqlite3.SQLITE_CANTOPEN: UnavailableError,
    sqlite3.SQLITE_PROTOCOL: UnavailableError,
    sqlite3.SQLITE_EMPTY: StorageError,
    sqlite3.SQLITE_SCHEMA: UnavailableError,
    sqlite3.SQLITE_TOOBIG: TooLargeError,
    sqlite3.SQLITE_CONSTRAINT: StorageError,
    sqlite3.SQLITE_MISMATCH: StorageError,
    sqlite3.SQLITE_MISUSE: StorageError,
    sqlite3.SQLITE_NOLFS: StorageError,
    sqlite3.SQLITE_AUTH: StorageError,
    sqlite3.SQLITE_FORMAT: StorageError,
    sqlite3.SQLITE_RANGE: StorageError,
    sqlite3.SQLITE_NOTADB: StorageError,
    sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY: CommitConflictError,
    sqlite3.SQLITE_CONSTRAINT_UNIQUE: CommitConflictError,
}


def _pg_errors() -> Iterator[type[Exception]]:
    for _name, kind in inspect.getmembers(pg, inspect.isclass):
        if issubclass(kind, Exception) and not issubclass(kind, Warning):
            yield kind


def _sqlite_codes() -> Iterator[tuple[str, int]]:
    """The result codes that this Python knows; not the other constants of the same prefix."""
    for name, value in vars(sqlite3).items():
        if not name.startswith("SQLITE_") or not isinstance(value, int):
            continue
        family = getattr(sqlite3, f"SQLITE_{name.split('_')[1]}", None)
        if family in RESULT_CODES and family == value & 0xFF:
            yield name, value


def _of(kind: type[Exception]) -> Exception:
    error = kind.__new__(kind)
    error.args = (SECRET,)
    return error


@pytest.mark.parametrize("kind", list(_pg_errors()), ids=lambda kind: kind.__name__)
def test_every_exception_of_asyncpg_is_translated(kind: type[Exception]) -> None:
    sqlstate = getattr(kind, "sqlstate", None)
    if sqlstate is None:
        expected: type[Exception] = CLIENT[kind]
    else:
        expected = CODES.get(sqlstate) or FAMILIES[sqlstate[:2]]
    assert issubclass(kind, POSTGRES_ERRORS)
    translated = translate_postgres(_of(kind))
    assert type(translated) is expected
    assert SECRET not in str(translated)


def test_a_certificate_that_is_not_trusted_is_waited_out() -> None:
    """It is a ValueError, too, and these are our own faults."""
    translated = translate_postgres(ssl.SSLCertVerificationError(SECRET))
    assert type(translated) is UnavailableError
    assert SECRET not in str(translated)


@pytest.mark.parametrize(("name", "code"), list(_sqlite_codes()))
def test_every_result_code_of_sqlite_is_translated(name: str, code: int) -> None:
    expected = RESULT_CODES.get(code) or RESULT_CODES[code & 0xFF]
    assert type(of_result_code(code)) is expected


@pytest.mark.parametrize(
    "kind",
    [
        *(sqlite3.Error, sqlite3.DatabaseError, sqlite3.DataError, sqlite3.IntegrityError),
        *(sqlite3.InterfaceError, sqlite3.InternalError, sqlite3.NotSupportedError),
        *(sqlite3.OperationalError, sqlite3.ProgrammingError, sqlite3.Warning),
        *(ValueError, OverflowError),
    ],
)
def test_exceptions_of_python_around_sqlite_are_translated(kind: type[Exception]) -> None:
    assert issubclass(kind, SQLITE_ERRORS)
    translated = translate_sqlite(kind(SECRET))
    assert type(translated) is StorageError
    assert SECRET not in str(translated)


@pytest.mark.parametrize("translate", [translate_postgres, translate_sqlite])
@pytest.mark.parametrize(
    "kind", [OSError, ConnectionResetError, ConnectionRefusedError, TimeoutError, PermissionError]
)
def test_errors_of_the_system_are_unavailability(translate: object, kind: type[OSError]) -> None:
    assert callable(translate)
    translated = translate(kind(SECRET))
    assert type(translated) is UnavailableError
    assert SECRET not in str(translated)


def _sqlalchemy_errors() -> Iterator[type[Exception]]:
    for _name, kind in inspect.getmembers(exc, inspect.isclass):
        if issubclass(kind, Exception) and not issubclass(kind, Warning):
            yield kind


@pytest.mark.parametrize("kind", list(_sqlalchemy_errors()), ids=lambda kind: kind.__name__)
def test_every_exception_of_sqlalchemy_is_translated(kind: type[Exception]) -> None:
    temporary = (exc.TimeoutError, exc.DisconnectionError)
    expected = UnavailableError if issubclass(kind, temporary) else StorageError
    error = _of(kind)
    if isinstance(error, exc.StatementError):
        error.orig = None
    for translate, caught in (
        (translate_postgres, POSTGRES_ERRORS),
        (translate_sqlite, SQLITE_ERRORS),
    ):
        translated = translate(error)
        assert isinstance(error, caught)
        assert type(translated) is expected
        assert SECRET not in str(translated)


def test_what_sqlalchemy_wraps_decides() -> None:
    adapted = exc.EmulatedDBAPIException(SECRET)
    adapted.__cause__ = pg.TooManyConnectionsError(SECRET)
    wrapped = exc.DBAPIError(None, None, adapted)
    assert type(translate_postgres(wrapped)) is UnavailableError
    plain = sqlite3.OperationalError(SECRET)
    plain.sqlite_errorcode = sqlite3.SQLITE_BUSY
    assert type(translate_sqlite(exc.OperationalError(None, None, plain))) is UnavailableError


def test_a_conflict_outside_a_commit_is_busyness() -> None:
    assert type(outside_commit(CommitConflictError())) is UnavailableError
    error = StorageError("as it is")
    assert outside_commit(error) is error
