"""Services and clients that a test starts and ends, on one store and one bus."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, TypeVar

from holdfast_agents.wiring import Service, ServiceOptions, open_service
from holdfast_backends import Backend
from holdfast_backends.opening import BackendOptions, open_backend
from holdfast_protocol import AgentClient, ChangeEvent
from holdfast_protocol.bus.contract import Bus
from holdfast_protocol.bus.opening import open_bus
from holdfast_protocol.client import Subscription

PATIENCE = 30.0  # seconds: a bound for what must happen, never a pause

T = TypeVar("T")


async def soon(awaitable: Awaitable[T]) -> T:
    """The result, or a failed test when there is none in time."""
    async with asyncio.timeout(PATIENCE):
        return await awaitable


async def take(events: Subscription, count: int) -> list[ChangeEvent]:
    """The next events of a subscription."""
    return [await soon(anext(events)) for _ in range(count)]


async def until(condition: Callable[[], Awaitable[object]]) -> None:
    """Until a state is reached that nobody announces; a failed test when it is not in time."""
    async with asyncio.timeout(PATIENCE):
        while not await condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


class Scene:
    """One store, one bus, one namespace."""

    def __init__(self, bus_url: str, backend_url: str, namespace: str) -> None:
        self.bus_url = bus_url
        self.backend_url = backend_url
        self.options = ServiceOptions(
            namespace=namespace, backend_options=BackendOptions(allow_unsafe=True)
        )

    @asynccontextmanager
    async def service(self, **changes: Any) -> AsyncIterator[Service]:
        """A service that runs; it is stopped gracefully at the end."""
        options = replace(self.options, **changes)
        async with open_service(
            bus=self.bus_url, backend=self.backend_url, options=options
        ) as service:
            running = asyncio.create_task(service.run())
            try:
                yield service
            finally:
                await service.stop()
                await soon(running)

    @asynccontextmanager
    async def client(self, sender: str = "tester", **options: Any) -> AsyncIterator[AgentClient]:
        """A client of the services."""
        async with AgentClient(
            self.bus_url, sender, namespace=self.options.namespace, **options
        ) as client:
            yield client

    @asynccontextmanager
    async def bus(self) -> AsyncIterator[Bus]:
        """The bus itself."""
        async with open_bus(self.bus_url, namespace=self.options.namespace) as bus:
            yield bus

    @asynccontextmanager
    async def backend(self) -> AsyncIterator[Backend]:
        """The store itself, without any service."""
        async with open_backend(self.backend_url, self.options.backend_options) as backend:
            yield backend
