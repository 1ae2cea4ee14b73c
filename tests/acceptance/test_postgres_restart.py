"""PostgreSQL dies under load and comes back: writes wait, and are answered in the end."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from tests.acceptance.insides import leaks
from tests.acceptance.load import Load
from tests.acceptance.plain_client import PATIENCE, connected, queue_of, take_one
from tests.acceptance.private import PrivateServer
from tests.acceptance.serving import run_holdfast, serving
from tests.services import POSTGRES_URL, unique_name

pytestmark = [pytest.mark.amqp, pytest.mark.postgres]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def postgres(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[PrivateServer]:
    """A PostgreSQL that may be killed."""
    server = PrivateServer("postgres", tmp_path_factory.mktemp("private") / "postgres")
    try:
        await server.up()
        yield server
    finally:
        await server.remove()


async def test_writes_wait_for_a_killed_database_and_are_answered_in_the_end(
    postgres: PrivateServer, amqp_url: str
) -> None:
    url, name, load = postgres.url(POSTGRES_URL), unique_name(), Load(seed=5)
    await run_holdfast("migrate", "--backend", url)
    async with (
        serving(amqp_url, url, name) as process,
        connected(amqp_url, name) as client,
    ):
        await load.prepare(client)
        loading = asyncio.create_task(load.run([client]))
        for _ in range(2):
            await load.answered(200)
            await postgres.crash()
            assert load.unanswered, "it was killed in the middle of load"
            await postgres.up()
        await load.answered(200)
        load.enough()
        async with asyncio.timeout(PATIENCE):
            await loading
        await load.check(client)
        assert await process.end() == 0


async def test_a_database_that_stays_away_is_answered_as_unavailable_and_nothing_is_told_of_it(
    postgres: PrivateServer, amqp_url: str
) -> None:
    url, name = postgres.url(POSTGRES_URL), unique_name()
    await run_holdfast("migrate", "--backend", url)
    save = {"action": "storage_save", "payload": {"task": {}, "collection": "away"}}
    said = save | {"id": "patient", "sender": "me"}
    async with (
        serving(amqp_url, url, name, HOLDFAST_RETRY_SECONDS="1") as process,
        connected(amqp_url, name) as client,
    ):
        await client.ask(save)
        await postgres.crash()
        actions = ("storage_list", "storage_count", "storage_collections")
        refused = await client.ask_all([said, *({"id": a, "action": a} for a in actions)])
        assert {answer["error_type"] for answer in refused.values()} == {"unavailable"}

        soon = (datetime.now(UTC) + timedelta(seconds=0.5)).isoformat()
        # Tried before its deadline: nobody claims that nothing was done.
        late = await client.ask(save | {"deadline": soon})
        assert late["error_type"] == "unavailable"

        await client.publish(json.dumps(save | {"id": "quiet"}).encode())
        async with queue_of(amqp_url, f"{name}.dead-letters") as queue:
            dead = await take_one(queue)
        assert dead.headers["x-holdfast-reason"] == "unavailable"
        assert leaks(json.dumps([refused, late, str(dead.headers["x-holdfast-error"])])) == []

        await postgres.up()
        # `unavailable` is not stored: the same message is executed now.
        answer = await client.ask(said)
        assert answer["result"] == {"id": 2}
        assert "replayed" not in answer["meta"]
        assert await process.end() == 0


async def test_a_service_that_is_stopped_while_the_database_is_away_answers_and_ends_well(
    postgres: PrivateServer, amqp_url: str
) -> None:
    await postgres.up()
    url, name = postgres.url(POSTGRES_URL), unique_name()
    await run_holdfast("migrate", "--backend", url)
    payload = {"task": {}, "collection": "late"}
    said = {"action": "storage_save", "id": "one", "sender": "me", "payload": payload}
    answers: asyncio.Queue[Any] = asyncio.Queue()
    async with (
        serving(amqp_url, url, name) as process,
        connected(amqp_url, name) as client,
    ):
        client.listener = answers.put_nowait
        await postgres.crash()
        await client.publish(json.dumps(said).encode(), reply_to=client.reply_to)
        await process.said("trying again")
        assert await process.end() == 0
        async with asyncio.timeout(PATIENCE):
            assert (await answers.get())["error_type"] == "unavailable"
        await postgres.up()
        await process.start()
        client.listener = None
        assert (await client.ask(said))["result"] == {"id": 1}
