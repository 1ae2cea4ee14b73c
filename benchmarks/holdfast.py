"""Holdfast as its users use it: a migrated database, a client that saves."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from holdfast_backends.sql.migrate import migrate
from holdfast_protocol import AgentClient

from .documents import task
from .load import Request


async def migrated(database: str) -> str:
    """The database's URL, with this version's schema."""
    await migrate(database)
    return database


@asynccontextmanager
async def saving_client(amqp_url: str, namespace: str = "holdfast") -> AsyncIterator[Request]:
    """Saves one task through an `AgentClient`."""
    async with AgentClient(amqp_url, sender="bench", namespace=namespace) as client:

        async def save(number: int) -> object:
            return await client.storage.save(task(number))

        yield save
