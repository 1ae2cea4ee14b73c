"""asyncpg's exceptions, and SQLAlchemy's around them, as ours."""

import ssl
from typing import Final

from asyncpg import exceptions as pg
from sqlalchemy import exc

from holdfast_backends.errors import SchemaError, StorageError, UnavailableError
from holdfast_backends.store import CommitConflictError

from .translation import (
    BUSY,
    DAMAGED,
    FAILED,
    FULL,
    READ_ONLY,
    REFUSED,
    SCHEMA,
    SLOW,
    UNREACHABLE,
    Translated,
    of_sqlalchemy,
)

POSTGRES_ERRORS: Final = (
    pg.PostgresError,
    pg.InterfaceError,
    pg.InternalClientError,
    exc.SQLAlchemyError,
    exc.EmulatedDBAPIException,
    OSError,  # TimeoutError too
)
"""All that a call into the driver raises when the store fails."""

# By SQLSTATE, or by its class (the first two characters) where the code does not stand here.
CONFLICTS: Final = frozenset({"23505", "40001", "40P01"})
SCHEMAS: Final = frozenset({"3F000", "42703", "42883", "42P01"})
UNAVAILABLE: Final = {
    "08": UNREACHABLE,
    "0A": BUSY,  # a prepared statement outlived its schema; a new connection helps
    "25006": READ_ONLY,  # a standby: the next connection may find the primary
    "25P03": SLOW,
    "25P04": SLOW,
    "28": REFUSED,  # a password in rotation looks like this too
    "3D": REFUSED,
    "40": UNREACHABLE,  # 40003: it is unknown whether it was committed
    "53": FULL,
    "55": BUSY,
    "57": UNREACHABLE,
    "57014": SLOW,
    "58": UNREACHABLE,  # input or output failed: it is unknown what is on the disk
}
STORAGE: Final = {"42501": REFUSED, "XX001": DAMAGED, "XX002": DAMAGED}

# Raised by the driver about itself, so that they have no SQLSTATE. Whatever state the connection
# was in, the next one is fresh; only what our own values or settings cause comes again.
_OWN_FAULTS: Final = (
    ValueError,  # ClientConfigurationError, and the DataError of values
    pg.UnsupportedClientFeatureError,
    pg.UnsupportedServerFeatureError,
)

_ELSEWHERE: Final = ("25006", "57P")


def is_elsewhere(error: pg.PostgresError) -> bool:
    """Whether the server says that it takes no writes any more, so that another one may."""
    return str(getattr(error, "sqlstate", None) or "").startswith(_ELSEWHERE)


def translate_postgres(error: BaseException) -> Translated:
    """Ours for an exception of asyncpg, SQLAlchemy or the operating system."""
    if isinstance(error, exc.SQLAlchemyError):
        return of_sqlalchemy(error, translate_postgres)
    if isinstance(error, exc.EmulatedDBAPIException):
        return (
            StorageError(FAILED) if error.__cause__ is None else translate_postgres(error.__cause__)
        )
    if isinstance(error, pg.PostgresError):
        return of_sqlstate(getattr(error, "sqlstate", None) or "")
    if isinstance(error, ssl.SSLError):  # some are a ValueError, too
        return UnavailableError(UNREACHABLE)
    if isinstance(error, _OWN_FAULTS):
        return StorageError(FAILED)
    if isinstance(error, TimeoutError):
        return UnavailableError(SLOW)
    if isinstance(error, pg.TargetServerAttributeNotMatched):
        return UnavailableError(READ_ONLY)  # standbys only: one of them may be promoted soon
    if isinstance(error, (pg.InterfaceError, pg.InternalClientError, OSError)):
        return UnavailableError(UNREACHABLE)
    return StorageError(FAILED)


def of_sqlstate(sqlstate: str) -> Translated:
    """Ours for what the server says."""
    if sqlstate in CONFLICTS:
        return CommitConflictError()
    if sqlstate in SCHEMAS:
        return SchemaError(SCHEMA)
    text = UNAVAILABLE.get(sqlstate) or UNAVAILABLE.get(sqlstate[:2])
    if text is not None:
        return UnavailableError(text)
    return StorageError(STORAGE.get(sqlstate, FAILED))
