"""The agents inside the caller's own process: notebooks, tests, programs of one machine."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from holdfast_protocol import AgentClient

from .wiring import ServiceOptions, open_service


@asynccontextmanager
async def embedded(
    backend: str = "memory://",
    *,
    sender: str = "embedded",
    options: ServiceOptions | None = None,
) -> AsyncIterator[AgentClient]:
    """A client of a service that runs here, on an in-process bus of its own.

    ```python
    async with embedded("sqlite:///tasks.db") as client:
        record = await client.storage.save({"title": "Water the kelp"})
    ```

    Args:
        backend: `memory://`, `sqlite:///file`, `postgresql://…` or `redis://…`.
        sender: whose messages these are.

    Raises:
        InvalidValueError: the backend's URL is wrong.
        StorageError: the backend cannot be opened.
    """
    async with open_service(backend=backend, options=options) as service:
        serving = asyncio.create_task(service.run())
        try:
            async with AgentClient(bus=service.bus, sender=sender) as client:
                yield client
        finally:
            await service.stop()
            await serving
