"""What both drivers' translations share: SQLAlchemy's exceptions and the texts.

Each driver's exceptions become ours in one place (`postgres_errors.py`, `sqlite_errors.py`),
chained there: `raise translate(error) from error`. What the server says decides (SQLSTATE,
SQLite's result code), never a driver's text; and no text of a driver goes on, for it may hold
SQL, values, paths or addresses.
"""

from collections.abc import Callable
from typing import Final

from sqlalchemy import exc

from holdfast_backends.errors import StorageError, UnavailableError
from holdfast_backends.store import CommitConflictError

Translated = StorageError | CommitConflictError
Translate = Callable[[BaseException], Translated]

UNREACHABLE: Final = "the store cannot be reached now"
SLOW: Final = "the store did not answer in time"
BUSY: Final = "the store is busy"
FULL: Final = "the store has no room or no resources left"
READ_ONLY: Final = "the store can only be read now"
REFUSED: Final = "the store refused this service: check user, password, database and privileges"
SCHEMA: Final = "the store's schema is not the one this version knows; run `holdfast migrate`"
DAMAGED: Final = "the store's data are damaged"
FAILED: Final = "the store failed"


def of_sqlalchemy(error: exc.SQLAlchemyError, translate: Translate) -> Translated:
    """Ours for an exception of SQLAlchemy; what it wraps decides, where it wraps something."""
    if isinstance(error, exc.TimeoutError):  # no connection of the pool became free in time
        return UnavailableError(BUSY)
    if isinstance(error, (exc.DisconnectionError, exc.InvalidatePoolError)):
        return UnavailableError(UNREACHABLE)
    # The adapters of async drivers wrap the driver's own exception once more, as its cause.
    origin = error.orig if isinstance(error, exc.DBAPIError) else None
    driver_error = (origin.__cause__ or origin) if origin is not None else None
    return StorageError(FAILED) if driver_error is None else translate(driver_error)


def outside_commit(translated: Translated) -> StorageError:
    """The same where nothing can be begun again: somebody else holds what is needed."""
    return translated if isinstance(translated, StorageError) else UnavailableError(BUSY)
