"""The fixtures that need an event loop: the one that pytest-asyncio runs the test on."""

from collections.abc import AsyncIterator, Iterable
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

if TYPE_CHECKING:
    from holdfast_agents.base.agent import Agent
    from holdfast_agents.wiring import Service
    from holdfast_protocol import AgentClient
    from holdfast_protocol.bus.contract import Bus

_LONGEST_SENDER = 128


@pytest_asyncio.fixture
async def holdfast_service(
    holdfast_bus_url: str,
    holdfast_backend_url: str,
    holdfast_agents: "Iterable[Agent[Any]]",
) -> "AsyncIterator[Service]":
    """The storage agent and your own, serving in this process; has `.bus` and `.backend`."""
    from .services import running

    async with running(holdfast_bus_url, holdfast_backend_url, holdfast_agents) as service:
        yield service


@pytest_asyncio.fixture
async def holdfast_bus(holdfast_service: "Service") -> "Bus":
    """The bus that the service answers on."""
    return holdfast_service.bus


@pytest_asyncio.fixture
async def holdfast_client(
    request: pytest.FixtureRequest, holdfast_service: "Service"
) -> "AsyncIterator[AgentClient]":
    """A client of the service. Its sender is the name of the test."""
    from holdfast_protocol import AgentClient

    sender = request.node.name[:_LONGEST_SENDER]
    async with AgentClient(bus=holdfast_service.bus, sender=sender) as client:
        yield client
