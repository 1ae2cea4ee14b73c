"""What is kept: one store contract, and the backends that keep it."""

from importlib import import_module
from typing import TYPE_CHECKING

from .contract import Backend, Capabilities
from .errors import (
    ConflictError,
    InvalidValueError,
    SchemaError,
    StorageError,
    TaskNotFoundError,
    TooLargeError,
    UnavailableError,
    UnsafeStoreError,
)
from .memory import InMemoryBackend

if TYPE_CHECKING:
    from .postgres import PostgresBackend
    from .redis import RedisBackend
    from .sqlite import SqliteBackend

__all__ = [
    "Backend",
    "Capabilities",
    "ConflictError",
    "InMemoryBackend",
    "InvalidValueError",
    "PostgresBackend",
    "RedisBackend",
    "SchemaError",
    "SqliteBackend",
    "StorageError",
    "TaskNotFoundError",
    "TooLargeError",
    "UnavailableError",
    "UnsafeStoreError",
]

# Their drivers are extras: a name is imported when it is first asked for.
_ON_DEMAND = {
    "PostgresBackend": ".postgres",
    "RedisBackend": ".redis",
    "SqliteBackend": ".sqlite",
}


def __getattr__(name: str) -> object:
    if name not in _ON_DEMAND:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    backend: object = getattr(import_module(_ON_DEMAND[name], __name__), name)
    return backend
