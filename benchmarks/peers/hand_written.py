"""PostgreSQL by hand on asyncpg: what an author who knows the database would write."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import orjson

from benchmarks.documents import task
from benchmarks.load import Request

CONNECTIONS = 16

_CREATE_TASKS = """
CREATE TABLE bench_tasks (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    document bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
)"""
_INSERT_TASK = "INSERT INTO bench_tasks (document) VALUES ($1) RETURNING id"


@asynccontextmanager
async def single_saver(url: str) -> AsyncIterator[Request]:
    """One insert and commit per save, over a pool of 16 connections."""
    async with asyncpg.create_pool(url, min_size=CONNECTIONS, max_size=CONNECTIONS) as pool:
        await pool.execute(_CREATE_TASKS)

        async def save(number: int) -> object:
            return await pool.fetchval(_INSERT_TASK, orjson.dumps(task(number)))

        yield save


_CREATE_ROWS = """
CREATE TABLE bench_records (
    collection text COLLATE "C" NOT NULL,
    key bytea NOT NULL,
    version bigint NOT NULL,
    document bytea,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    PRIMARY KEY (collection, key)
);
CREATE TABLE bench_messages (
    sender text COLLATE "C" NOT NULL,
    message_id text COLLATE "C" NOT NULL,
    digest bytea NOT NULL,
    outcome bytea NOT NULL,
    at bigint NOT NULL,
    PRIMARY KEY (sender, message_id)
)"""
_INSERT_ROWS = """
INSERT INTO bench_records (collection, key, version, document, created_at, updated_at)
SELECT 'tasks', k, 1, d, $3, $3 FROM unnest($1::bytea[], $2::bytea[]) AS t(k, d)"""
_INSERT_MESSAGES = """
INSERT INTO bench_messages (sender, message_id, digest, outcome, at)
SELECT 'bench', i, g, o, $4 FROM unnest($1::text[], $2::bytea[], $3::bytea[]) AS t(i, g, o)"""
_NOW = 1_800_000_000_000_000


class UnnestWriter:
    """Writes batches of rows by `unnest`: one statement and one commit for a batch.

    The rows are those that Holdfast keeps for the same saves: key, document as JSON bytes,
    version and instants, and, for both tables, the message's identity and its outcome.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def documents(self, numbers: range, tasks: list[dict[str, Any]]) -> None:
        """The documents' rows alone: one statement, which is its own transaction."""
        keys = [b"\x01" + number.to_bytes(8, "big") for number in numbers]
        bodies = [orjson.dumps(body) for body in tasks]
        await self._connection.execute(_INSERT_ROWS, keys, bodies, _NOW)

    async def both(self, numbers: range, tasks: list[dict[str, Any]]) -> None:
        """The documents' rows and the messages' in one transaction."""
        ids = [f"message-{number}" for number in numbers]
        digests = [number.to_bytes(32, "big") for number in numbers]
        outcomes = [b"%d" % number * 4 for number in numbers]
        async with self._connection.transaction():
            await self.documents(numbers, tasks)
            await self._connection.execute(_INSERT_MESSAGES, ids, digests, outcomes, _NOW)


@asynccontextmanager
async def unnest_writer(url: str) -> AsyncIterator[UnnestWriter]:
    """A writer on one connection, with its tables."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(_CREATE_ROWS)
        yield UnnestWriter(connection)
    finally:
        await connection.close()
