"""What can go wrong in a store, as one exception tree.

    StorageError               storage_error      any failure of a backend; nothing was changed
    ├── TaskNotFoundError      not_found          no such record
    ├── ConflictError          conflict           version mismatch, or a message id used twice
    ├── InvalidValueError      validation_error   the request can never succeed as it is
    ├── TooLargeError          too_large          a document or result over its limit
    ├── DeadlineError          expired            its deadline passed before the commit
    ├── RequestCancelledError  cancelled          its sender cancelled it before the commit
    ├── LockNotHeldError       not_found          nobody holds that lock
    ├── EventsPrunedError      not_found          those events are no longer kept
    ├── UnavailableError       unavailable        the store cannot be reached now
    ├── SchemaError            storage_error      the schema is not the one this version knows
    └── UnsafeStoreError       storage_error      the store may lose what it acknowledged

Each driver's exceptions are translated into these in one place of its backend, chained.
The texts reach clients: they never hold SQL, paths, addresses or a driver's words.
"""

from collections.abc import Sequence
from typing import ClassVar

from .values import JsonObject, JsonValue, RecordId

Loc = tuple[str | int, ...]
_MAX_STEP_CHARS = 256


class StorageError(Exception):
    """Base of all errors of a backend. `details` is JSON that a program can read."""

    error_type: ClassVar[str] = "storage_error"

    def __init__(self, message: str, details: JsonObject | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.details: JsonObject = details or {}


class TaskNotFoundError(StorageError):
    """No record with this id; the seed's name, for records of every collection."""

    error_type = "not_found"

    def __init__(self, task_id: RecordId, collection: str = "tasks") -> None:
        self.task_id = task_id
        self.collection = collection
        super().__init__(
            f"Task with ID {task_id} not found"
            if collection == "tasks"
            else f"{collection} record {task_id} not found"
        )


class ConflictError(StorageError):
    """Somebody else was first; `details.current_version` says where the record is now."""

    error_type = "conflict"


class InvalidValueError(StorageError):
    """A value that no backend accepts. `loc` names the place, from the operation's root."""

    error_type = "validation_error"

    def __init__(self, message: str, loc: Sequence[str | int] = ()) -> None:
        self.loc: Loc = tuple(loc)
        named: list[JsonValue] = [_short(step) for step in self.loc]
        super().__init__(message, {"errors": [{"loc": named, "msg": message}]})

    def within(self, *prefix: str | int) -> "InvalidValueError":
        """The same error, seen from further out."""
        return InvalidValueError(self.message, (*prefix, *self.loc))


def _short(step: str | int) -> str | int:
    """A place's step, cut where a sender chose a huge key."""
    if isinstance(step, str) and len(step) > _MAX_STEP_CHARS:
        return step[:_MAX_STEP_CHARS] + "…"
    return step


class TooLargeError(StorageError):
    """A document, result or batch over its limit."""

    error_type = "too_large"


class DeadlineError(StorageError):
    """The message's deadline had passed when its turn came; nothing was executed."""

    error_type = "expired"

    def __init__(self) -> None:
        super().__init__("The deadline had passed; this delivery was not executed")


class RequestCancelledError(StorageError):
    """The sender cancelled the message before it was committed; it never will be."""

    error_type = "cancelled"


class LockNotHeldError(StorageError):
    """Nobody holds this lock (any more)."""

    error_type = "not_found"


class EventsPrunedError(StorageError):
    """Events after the given sequence are no longer kept; `details.first_sequence` is the oldest
    that is."""

    error_type = "not_found"

    def __init__(self, collection: str, after: int, first_sequence: int) -> None:
        self.first_sequence = first_sequence
        super().__init__(
            f"The events of {collection} after {after} are no longer kept; "
            f"you can start after {first_sequence - 1}",
            {"first_sequence": first_sequence},
        )


class UnavailableError(StorageError):
    """The store cannot be reached now, or did not answer in time.

    Whether a write took effect is unknown; with its identity it can be sent again.
    """

    error_type = "unavailable"


class SchemaError(StorageError):
    """The store's schema is missing, older or newer than this version; run `holdfast migrate`."""


class UnsafeStoreError(StorageError):
    """The store is configured so that it may lose what it acknowledged."""
