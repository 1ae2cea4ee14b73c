"""Holdfast's storage agent as a process of its own, as `holdfast serve` runs it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from .addresses import AMQP_URL
from .broker import wait_for_consumer
from .processes import Server, server

QUEUE = "holdfast.agent.storage"


@asynccontextmanager
async def storage_agent(
    amqp_url: str, backend_url: str, *, namespace: str = "holdfast"
) -> AsyncIterator[Server]:
    """A storage agent that serves when this is entered."""
    environment = {
        AMQP_URL: amqp_url,
        "HOLDFAST_BENCH_BACKEND": backend_url,
        "HOLDFAST_BENCH_NAMESPACE": namespace,
    }
    async with server("agent", ["-m", "benchmarks.serve_agent"], environment) as process:
        ready = asyncio.ensure_future(wait_for_consumer(amqp_url, f"{namespace}.agent.storage"))
        await process.wait_until(ready)
        yield process
