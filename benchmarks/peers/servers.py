"""The peers' server processes, each started and waited for."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from benchmarks.addresses import AMQP_URL
from benchmarks.broker import wait_for_consumer
from benchmarks.peers import celery_echo, faststream_echo, raw_echo
from benchmarks.processes import server


@asynccontextmanager
async def _peer(name: str, arguments: Sequence[str], url: str, queue: str) -> AsyncIterator[None]:
    async with server(name, arguments, {AMQP_URL: url}) as process:
        await process.wait_until(asyncio.ensure_future(wait_for_consumer(url, queue)))
        yield


@asynccontextmanager
async def raw_echo_server(url: str) -> AsyncIterator[None]:
    """The echo by hand."""
    async with _peer("raw-echo", ["-m", raw_echo.__name__], url, raw_echo.QUEUE):
        yield


@asynccontextmanager
async def faststream_server(url: str) -> AsyncIterator[None]:
    """The echo with FastStream."""
    async with _peer("faststream", ["-m", faststream_echo.__name__], url, faststream_echo.NAME):
        yield


@asynccontextmanager
async def celery_server(url: str) -> AsyncIterator[None]:
    """The echo with Celery."""
    async with _peer("celery", celery_echo.WORKER_ARGUMENTS, url, celery_echo.NAME):
        yield
