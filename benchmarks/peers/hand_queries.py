"""The queries by hand: `jsonb`, expression b-tree indexes, prepared statements on asyncpg."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, Self

import asyncpg
import orjson

from benchmarks.queries import DEEP, PAGE, Documents, document, owner_name, range_of

_CREATE = "CREATE TABLE bench_documents (id bigint PRIMARY KEY, doc jsonb NOT NULL)"
_INDEXES = """
CREATE INDEX ON bench_documents ((doc->'owner'->'name'), id);
CREATE INDEX ON bench_documents ((doc->'rank'), id)"""
_EQUALITY = """
SELECT doc FROM bench_documents WHERE doc->'owner'->'name' = $1 ORDER BY id LIMIT 100"""
# Ordering by an expression keeps the planner from walking the primary key instead.
_RANGE = """
SELECT doc FROM bench_documents WHERE doc->'rank' >= $1 AND doc->'rank' < $2
ORDER BY id + 0 LIMIT 100"""
_SORTED = "SELECT doc FROM bench_documents ORDER BY doc->'rank', id LIMIT 100"
_DEEP = """
SELECT doc FROM bench_documents WHERE (doc->'rank', id) > ($1, $2)
ORDER BY doc->'rank', id LIMIT 100"""
_PLACE = """
SELECT doc->'rank', id FROM bench_documents ORDER BY doc->'rank', id LIMIT 1 OFFSET $1"""


class HandQueries:
    """Asks a table on one connection."""

    def __init__(self, connection: Any, total: int) -> None:
        self._connection = connection
        self._total = total
        self._statements: dict[str, Any] = {}
        self._place: tuple[Any, int] = (None, 0)

    @classmethod
    @asynccontextmanager
    async def connected(cls, url: str, total: int) -> AsyncIterator[Self]:
        """On a connection of its own, which decodes `jsonb` with orjson."""
        connection = await asyncpg.connect(url)
        try:
            await connection.set_type_codec(
                "jsonb",
                schema="pg_catalog",
                format="binary",
                encoder=lambda value: b"\x01" + orjson.dumps(value),
                decoder=lambda text: orjson.loads(text[1:]),
            )
            yield cls(connection, total)
        finally:
            await connection.close()

    async def load(self) -> None:
        """Copy all documents, build the indexes, prepare the statements."""
        await self._connection.execute(_CREATE)
        await self._connection.copy_records_to_table(
            "bench_documents", records=self._records(), columns=("id", "doc")
        )
        await self._connection.execute(_INDEXES)
        await self._connection.execute("VACUUM ANALYZE")
        place = await self._connection.fetchrow(_PLACE, round(self._total * DEEP) - 1)
        self._place = (place[0], place[1])
        texts = {
            "equality": _EQUALITY, "range": _RANGE, "sorted page": _SORTED, "deep page": _DEEP,
        }  # fmt: skip
        for kind, text in texts.items():
            assert f"LIMIT {PAGE}" in text
            self._statements[kind] = await self._connection.prepare(text)

    def _records(self) -> Iterator[tuple[int, dict[str, Any]]]:
        for number in range(self._total):
            yield number + 1, {**document(number, self._total), "id": number + 1}

    async def ask(self, kind: str, number: int) -> Documents:
        """As `Queries.ask`."""
        rows = await self._statements[kind].fetch(*self._arguments(kind, number))
        return [row[0] for row in rows]

    def _arguments(self, kind: str, number: int) -> tuple[Any, ...]:
        match kind:
            case "equality":
                return (owner_name(number, self._total),)
            case "range":
                return range_of(number, self._total)
            case "deep page":
                return self._place
            case _:
                return ()
