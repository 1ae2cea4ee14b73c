"""The broker dies under load and comes back: everybody recovers, nothing acknowledged is lost."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from holdfast_protocol import AgentClient
from tests.acceptance.plain_client import connected
from tests.acceptance.private import PrivateServer
from tests.acceptance.serving import serving
from tests.acceptance.stores import temporary_store
from tests.services import AMQP_URL

pytestmark = pytest.mark.amqp

_RECOVERY = 90.0  # seconds: a bound for restart and recovery together
_SENDERS = 16


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[PrivateServer]:
    """A RabbitMQ that may be killed."""
    server = PrivateServer("rabbitmq", tmp_path / "broker")
    try:
        await server.up()
        yield server
    finally:
        await server.remove()


async def test_service_and_client_recover_from_a_killed_broker_by_themselves(
    broker: PrivateServer, tmp_path: Path
) -> None:
    url = broker.url(AMQP_URL)
    answered: dict[str, int | str] = {}
    enough, some, more = asyncio.Event(), asyncio.Event(), asyncio.Event()
    back = False

    async def send(client: AgentClient, sender: int) -> None:
        number = 0
        while not enough.is_set():
            marker = f"{sender}.{number}"
            record = await client.storage.save({"marker": marker}, message_id=marker)
            answered[marker] = record.id
            await client.storage.update(
                "counter", increment={"hits": 1}, collection="counters", message_id=f"hit {marker}"
            )
            number += 1
            if len(answered) >= 300:
                some.set()
            if back:
                more.set()

    async with (
        temporary_store("sqlite", tmp_path) as store,
        serving(url, store, "holdfast") as process,
        AgentClient(url, sender="load", timeout=_RECOVERY) as client,
    ):
        await client.storage.save({"id": "counter", "hits": 0}, collection="counters")
        async with asyncio.timeout(2 * _RECOVERY), asyncio.TaskGroup() as group:
            for sender in range(_SENDERS):
                group.create_task(send(client, sender))
            await some.wait()
            # A queue that was declared this moment may not survive: a quorum queue of this
            # broker takes about a second to be on the disk.
            await asyncio.sleep(1.0)
            await broker.crash()
            await broker.up()
            back = True
            await more.wait()
            enough.set()

        async with connected(url) as plain:
            count = await plain.ask({"action": "storage_count"})
            assert count["result"] == len(answered)
        found = {d["marker"]: d["id"] async for d in client.storage.list(limit=1000)}
        assert found == answered
        assert sorted(map(int, answered.values())) == list(range(1, len(answered) + 1))
        counter = await client.storage.get("counter", collection="counters")
        assert counter["hits"] == len(answered)

        # Without a broker it stops at once, and starts with patience.
        await broker.crash()
        assert await process.end() == 0
        async with asyncio.timeout(_RECOVERY), asyncio.TaskGroup() as group:
            group.create_task(process.start())
            group.create_task(broker.up())
        assert await client.storage.count() == len(answered)
        assert await process.end() == 0
