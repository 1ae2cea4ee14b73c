"""How each store is opened: one entry for each, and every store has the whole suite.

A factory gives a function that makes a store on the data of this test: called twice, it makes
two stores on the same data, as two processes have them.
"""

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from holdfast_backends.memory import MemoryStore
from holdfast_backends.redis_store import RedisStore
from holdfast_backends.sql.postgres_store import PostgresStore
from holdfast_backends.sql.sqlite_store import SqliteStore
from holdfast_backends.store import Store

MakeStore: TypeAlias = Callable[[], Store]

ALONE = [pytest.param("memory"), pytest.param("sqlite-in-memory")]
"""Stores that only one process at a time can have."""

SHARED = [
    pytest.param("sqlite"),
    pytest.param("postgres", marks=pytest.mark.postgres),
    pytest.param("redis", marks=pytest.mark.redis),
]
"""Stores that several processes use at once."""

INDEXING = [pytest.param("sqlite-in-memory"), *SHARED]
"""Stores that keep real indexes."""

_numbers = itertools.count(1)


def factory(name: str, request: pytest.FixtureRequest) -> MakeStore:
    """What makes the stores of one test, on data that are empty at first."""
    match name:
        case "memory":
            return MemoryStore
        case "sqlite-in-memory":
            return lambda: SqliteStore("sqlite://")
        case "sqlite":
            return _sqlite(request.getfixturevalue("empty_sqlite_file"), _folder(request))
        case "postgres":
            url: str = request.getfixturevalue("clean_postgres_url")
            return lambda: PostgresStore(url, pool_size=4)
        case "redis":
            return _redis(
                request.getfixturevalue("redis_url"), request.getfixturevalue("redis_namespace")
            )
        case _:
            raise LookupError(f"no factory makes {name}")


def _folder(request: pytest.FixtureRequest) -> Path:
    folder: Path = request.getfixturevalue("tmp_path")
    return folder


def _sqlite(template: Path, folder: Path) -> MakeStore:
    file = folder / f"{next(_numbers)}.db"
    shutil.copyfile(template, file)
    return lambda: SqliteStore(f"sqlite:///{file}")


def _redis(url: str, namespace: str) -> MakeStore:
    own = f"{namespace}:stores:{next(_numbers)}"
    return lambda: RedisStore(url, namespace=own)
