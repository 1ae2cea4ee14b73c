"""Facts about the machine and the servers, kept beside the figures."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import asyncpg
from redis.asyncio import Redis

from .broker import broker_version
from .environment import Bench

_PACKAGES = (
    "holdfast", "aio-pika", "asyncpg", "celery", "faststream", "orjson", "pydantic", "redis",
    "sqlalchemy", "uvloop",
)  # fmt: skip
_SETTINGS = ("server_version", "fsync", "synchronous_commit", "full_page_writes", "shared_buffers")


def load() -> float:
    """The machine's load over the last minute."""
    return os.getloadavg()[0]


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


async def facts(bench: Bench) -> dict[str, Any]:
    """Cores, versions, and the settings of the servers that decide what a figure is worth."""
    connection = await asyncpg.connect(bench.postgres_url)
    try:
        postgres = {name: await connection.fetchval(f"SHOW {name}") for name in _SETTINGS}
    finally:
        await connection.close()
    async with Redis.from_url(bench.redis_url) as redis:
        server = await redis.info("server")
        persistence = await redis.config_get("append*")
    return {
        "system": f"{platform.system()} {platform.release()}",
        "cpu": _cpu(),
        "cores": _cores(),
        "load_at_start": load(),
        "python": platform.python_version(),
        "rabbitmq": await broker_version(bench.amqp_url),
        "postgresql": postgres,
        "redis": {
            "version": server["redis_version"],
            "appendonly": persistence.get("appendonly"),
            "appendfsync": persistence.get("appendfsync"),
        },
        "packages": {name: _version(name) for name in _PACKAGES},
    }
