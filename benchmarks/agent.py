"""Holdfast's storage agent as a process of its own: `holdfast serve`, as in production."""

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from .broker import wait_for_consumer
from .processes import Server, server

_COMMAND = Path(sys.executable).with_name("holdfast")


@asynccontextmanager
async def storage_agent(
    amqp_url: str,
    backend_url: str,
    *,
    namespace: str = "holdfast",
    settings: Mapping[str, str] | None = None,
) -> AsyncIterator[Server]:
    """A storage agent with its default settings (but for `settings`, by their variables), which
    serves when this is entered.

    Redis may be configured to lose what it acknowledged; that is allowed here, and told in the
    machine's facts.
    """
    environment = {
        "HOLDFAST_BUS": amqp_url,
        "HOLDFAST_BACKEND": backend_url,
        "HOLDFAST_NAMESPACE": namespace,
        "HOLDFAST_ALLOW_UNSAFE_REDIS": "true",
        **(settings or {}),
    }
    async with server(f"agent-{namespace}", [str(_COMMAND), "serve"], environment) as process:
        ready = asyncio.ensure_future(wait_for_consumer(amqp_url, f"{namespace}.agent.storage"))
        await process.wait_until(ready)
        yield process
