"""A service in the process of a test."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, Final

from holdfast_agents.base.agent import Agent
from holdfast_agents.wiring import Service, ServiceOptions, open_service

from .stores import lenient_options, prepared

_STOPPING_SECONDS: Final = 10.0


@asynccontextmanager
async def running(bus: str, backend: str, agents: Iterable[Agent[Any]]) -> AsyncIterator[Service]:
    """The storage agent and others, serving until the block is left.

    Raises:
        ValueError: a URL is wrong.
        StorageError: the backend cannot be opened.
        RuntimeError: at the end, an agent was still at work after 10 seconds.
    """
    await prepared(backend)
    options = ServiceOptions(extra_agents=tuple(agents), backend_options=lenient_options())
    async with open_service(bus=bus, backend=backend, options=options) as service:
        serving = asyncio.create_task(service.run())
        try:
            yield service
        finally:
            await service.stop()
            await _ended(serving)


async def _ended(serving: "asyncio.Task[None]") -> None:
    """Wait for its end, and tell what it failed from."""
    done, _ = await asyncio.wait((serving,), timeout=_STOPPING_SECONDS)
    if not done:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        raise RuntimeError(f"an agent was still at work {_STOPPING_SECONDS:g} s after the test")
    serving.result()
