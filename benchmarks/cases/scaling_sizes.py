"""How many bytes a record, an identity and an event take in each store. For docs/scaling.md."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

import asyncpg
from redis.asyncio import Redis

from benchmarks.documents import task
from benchmarks.environment import IN_FLIGHT, Bench
from benchmarks.holdfast import migrated
from benchmarks.load import total_rate
from benchmarks.model import Case, Measure, Sample, Series
from holdfast_agents.in_process import embedded
from holdfast_agents.wiring import ServiceOptions
from holdfast_backends.opening import BackendOptions

_SAVES, _QUICK_SAVES = 100_000, 20_000
_PARTS = {"record": "records", "identity": "messages", "event": "events"}
"""What is kept, and how its tables and indexes begin behind `holdfast_` in a database."""
_REDIS_PARTS = {
    "record": ("rows:tasks", "live:tasks"),
    "identity": ("replies", "reply-times"),
    "event": ("events:tasks",),
}
_POSTGRES_SIZES = """
SELECT relname, pg_relation_size(oid) FROM pg_class
 WHERE relname LIKE 'holdfast\\_%' AND relkind IN ('r', 'i')"""
_WAL = "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint"


class Sizes(Case):
    """Saves of the same tasks through a service in this process, with ids as the client gives
    them and without declared indexes; then what each store has grown by, divided by the saves.

    PostgreSQL tells the sizes of tables with their indexes after VACUUM, and the position of its
    log (to which others on the same server write, too); SQLite the pages of each table and index;
    Redis `MEMORY USAGE` of each key.
    """

    name = "sizes"
    title = "bytes for each save in the stores"
    repeated = False
    series: ClassVar = {
        **{
            f"{store}, {part}": Series(f"{store}: {part}", "B")
            for store in ("PostgreSQL", "SQLite", "Redis")
            for part in _PARTS
        },
        "PostgreSQL, log": Series("PostgreSQL: write-ahead log", "B"),
    }

    @asynccontextmanager
    async def prepare(self, bench: Bench) -> AsyncIterator[Measure]:
        saves = _QUICK_SAVES if bench.options.quick else _SAVES

        async def measure() -> Sample:
            grown: dict[str, float] = {}
            for store, measured in (
                ("PostgreSQL", _in_postgres(bench, saves)),
                ("SQLite", _in_sqlite(saves)),
                ("Redis", _in_redis(bench, saves)),
            ):
                bench.stage(store)
                parts = await measured
                grown |= {f"{store}, {part}": size / saves for part, size in parts.items()}
            return grown

        yield measure


async def _fill(url: str, saves: int, namespace: str = "holdfast") -> None:
    kept = BackendOptions(namespace=namespace, allow_unsafe=True)
    options = ServiceOptions(publish_events=False, backend_options=kept)
    async with embedded(url, sender="bench", options=options) as client:

        async def save(number: int) -> object:
            return await client.storage.save(task(number))

        await total_rate(save, in_flight=IN_FLIGHT, total=saves)


async def _in_postgres(bench: Bench, saves: int) -> Mapping[str, float]:
    async with bench.database() as database:
        await migrated(database)
        connection = await asyncpg.connect(database)
        try:
            before = await connection.fetchval(_WAL)
            await _fill(database, saves)
            log = await connection.fetchval(_WAL) - before
            await connection.execute("VACUUM")
            sizes = {str(name): int(size) for name, size in await connection.fetch(_POSTGRES_SIZES)}
        finally:
            await connection.close()
    return {**_by_part(sizes), "log": float(log)}


async def _in_sqlite(saves: int) -> Mapping[str, float]:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "sizes.sqlite3"
        await _fill(await migrated(f"sqlite:///{file}"), saves)
        return _by_part(await asyncio.to_thread(_pages, file))


def _pages(file: Path) -> dict[str, int]:
    with closing(sqlite3.connect(file)) as connection:
        found = connection.execute("SELECT name, sum(pgsize) FROM dbstat GROUP BY name")
        return {str(name).removeprefix("sqlite_autoindex_"): int(size) for name, size in found}


async def _in_redis(bench: Bench, saves: int) -> Mapping[str, float]:
    async with bench.redis_namespace() as namespace, Redis.from_url(bench.redis_url) as redis:
        await _fill(bench.redis_url, saves, namespace)
        sizes = {}
        for part, names in _REDIS_PARTS.items():
            used = [
                await redis.memory_usage(f"{{{namespace}}}:{name}", samples=0) for name in names
            ]
            sizes[part] = float(sum(size or 0 for size in used))
        return sizes


def _by_part(sizes: Mapping[str, int]) -> dict[str, float]:
    return {
        part: float(sum(s for name, s in sizes.items() if name.startswith(f"holdfast_{table}")))
        for part, table in _PARTS.items()
    }
