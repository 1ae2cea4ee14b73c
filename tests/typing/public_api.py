"""A program of a user of the three roots, for the type checkers to read; it never runs.

Strict checking refuses an ignore that nothing needs: each of them is a call that must not pass.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, assert_type

from pydantic import JsonValue

from holdfast_agents import Agent, SimpleAgent, StorageAgent, embedded
from holdfast_backends import (
    Backend,
    Capabilities,
    ConflictError,
    InMemoryBackend,
    PostgresBackend,
    RedisBackend,
    SqliteBackend,
    StorageError,
    TaskNotFoundError,
)
from holdfast_backends.values import JsonObject
from holdfast_protocol import (
    AgentClient,
    AgentMessage,
    AgentResponse,
    CancelledRequestError,
    ChangeEvent,
    Fence,
    HeldLock,
    HoldfastError,
    NotFoundError,
    Subscription,
)
from holdfast_protocol.actions import DeadLetter, Lock


async def records(client: AgentClient) -> None:
    saved = await client.storage.save({"title": "Water", "owner": {"name": "Ada"}}, if_version=0)
    assert_type(saved.id, int | str)
    assert_type(saved.version, int)
    assert_type(saved.created, bool | None)
    assert_type(saved.created_at, datetime)
    assert_type(saved.expires_at, datetime | None)
    assert_type(saved.replayed, bool)
    assert_type(saved.sequence, int | None)
    assert_type(saved.document, dict[str, JsonValue])
    assert_type(saved["title"], JsonValue)
    assert_type(saved.get("title"), JsonValue)
    assert_type("title" in saved, bool)

    updated = await client.storage.update(
        saved.id, changes={"done": True}, increment={"tries": 1}, append={"log": ["x"]}
    )
    got = await client.storage.get(updated.id, collection="tasks", timeout=2.0)
    gone = await client.storage.delete("x", if_version=3, deadline=timedelta(seconds=1))
    assert_type((updated.version, got.version, gone.version), tuple[int, int, int])


async def pages(client: AgentClient) -> None:
    page = await client.storage.query({"done": True}, sort=[("due", "desc")], fields=["title"])
    assert_type(page.next_cursor, str | None)
    assert_type(page.documents, list[dict[str, JsonValue]])
    assert_type(page[0], dict[str, JsonValue])
    assert_type(len(page), int)
    listed = client.storage.list(limit=10, with_meta=True)
    async for document in listed:
        assert_type(document, dict[str, JsonValue])
    async for record in listed.records():
        assert_type(record.version, int)
    async for one in listed.pages():
        assert_type(one.next_cursor, str | None)
    assert_type(await listed.all(), list[dict[str, JsonValue]])
    assert_type(await client.storage.count({"done": True}), int)


async def batches(client: AgentClient) -> None:
    outcomes = await client.storage.batch(atomic=False).save({"a": 1}).delete(7).run()
    for outcome in outcomes:
        assert_type(outcome.ok, bool)
        assert_type(outcome.result, JsonValue)
        assert_type(outcome.record.id, int | str)
        assert_type(outcome.error, HoldfastError | None)
    index = await client.storage.index(["owner.name"])
    assert_type((index.paths, index.ready), tuple[list[str], bool])
    for found in await client.storage.collections():
        assert_type((found.collection, found.count), tuple[str, int])


async def messages(client: AgentClient) -> None:
    response = await client.request(
        "storage", "storage_get", {"task_id": 7}, message_id="m", metadata={"any": [1]}
    )
    assert_type(response, AgentResponse)
    assert_type(response.ok, bool)
    assert_type(response.result, JsonValue)
    assert_type(response.error_type, str | None)
    assert_type(response.details, dict[str, JsonValue])
    assert_type(await client.send("storage", "storage_save", {"task": {}}), str)
    assert_type((await client.ping("storage")).timestamp, datetime)
    try:
        response.raise_for_error()
    except NotFoundError as error:
        assert_type(error.details, dict[str, JsonValue])


async def events(client: AgentClient) -> None:
    async with client.subscribe("tasks.*", after=17) as subscription:
        assert_type(subscription, Subscription)
        async for event in subscription:
            assert_type(event, ChangeEvent)
            assert_type(event.kind, Literal["created", "updated", "deleted"])
            assert_type(event.record_id, int | str)
            assert_type((event.version, event.sequence), tuple[int, int])
            assert_type(event.sender, str | None)
            assert_type(event.timestamp, datetime)
            assert_type(event.document, dict[str, JsonValue])
        assert_type(subscription.positions, Mapping[str, int])
    async for other in client.subscribe(after={"tasks": 17, "users": 0}, max_waiting=100):
        assert_type(other.collection, str)


async def locks(client: AgentClient) -> None:
    async with client.lock("deploy", lease_seconds=10, wait=0, owner="night shift") as held:
        assert_type(held, HeldLock)
        assert_type((held.token, held.lost), tuple[int, bool])
        assert_type(held.expires_at, datetime)
        assert_type(held.fence, Fence)
        await client.storage.save({"a": 1}, fence=held.fence)
        await client.storage.batch(fence=Fence(lock="deploy", token=7)).delete(7).run()
        await held.wait_lost()
    lock = await client.locks.acquire("deploy", lease_seconds=5)
    assert_type(lock, Lock)
    await client.locks.release("deploy", lock.token, timeout=1.0)


async def mending(client: AgentClient) -> None:
    for letter in await client.dead_letters.list(reason="expired", older_than_seconds=60):
        assert_type(letter, DeadLetter)
        assert_type((letter.id, letter.attempts), tuple[str, int])
        assert_type(letter.action, str | None)
        assert_type((await client.dead_letters.show(letter.id)).message, JsonValue)
    assert_type((await client.dead_letters.replay(all=True, dry_run=True)).replayed, int)
    assert_type((await client.dead_letters.purge(ids=["1"])).purged, int)
    assert_type(await client.cancel("m"), bool)
    try:
        await client.storage.save({}, message_id="m")
    except CancelledRequestError as error:
        assert_type(error.details, dict[str, JsonValue])


async def services() -> None:
    async with embedded("sqlite:///tasks.db", sender="notebook") as client:
        assert_type(client, AgentClient)
    async with AgentClient("amqp://localhost", "planner", timeout=5.0) as remote:
        assert_type(remote, AgentClient)


async def backends(url: str) -> AsyncIterator[Backend]:
    opened: Sequence[Backend] = [
        InMemoryBackend(),
        SqliteBackend(url),
        PostgresBackend(url),
        RedisBackend(url),
    ]
    for backend in opened:
        assert_type(backend.capabilities, Capabilities)
        yield backend


async def methods() -> None:
    async with InMemoryBackend() as backend:
        assert_type(await backend.save({"a": 1}, collection="users"), JsonObject)
        assert_type(await backend.get(1), JsonObject)
        assert_type(await backend.update(1, {"a": None}), JsonObject)
        assert_type(await backend.delete("x", if_version=2), JsonObject)
        assert_type(await backend.list_all(), list[JsonObject])
        assert_type(await backend.query({"a": {"$gt": 1}}, limit=3), list[JsonObject])
        assert_type(await backend.count(), int)
        try:
            await backend.get(1)
        except TaskNotFoundError as error:
            assert_type(error.task_id, int | str)
        except (ConflictError, StorageError) as other:
            assert_type(other.message, str)


async def agents(backend: Backend) -> None:
    agent = StorageAgent(backend)
    base: Agent[Any] = agent
    assert_type(await base.handle_message(AgentMessage(action="agent_ping")), AgentResponse)
    many = await agent.handle_messages([AgentMessage(action="storage_list", payload={})])
    assert_type(many, list[AgentResponse])
    SimpleAgent("greeting", [])


async def refused(client: AgentClient, backend: InMemoryBackend) -> None:
    """What a checker must not let pass."""
    await client.storage.save(["no", "document"])  # type: ignore[arg-type]
    await client.storage.get(1.5)  # type: ignore[arg-type]
    await client.storage.get()  # type: ignore[call-arg]
    await client.storage.update(1, increment={"n": "1"})  # type: ignore[dict-item]
    await client.storage.query(sort=[("due", "upwards")])  # type: ignore[list-item]
    await client.storage.save({}, tll_seconds=1)  # type: ignore[call-arg]
    await client.storage.save({}, fence=7)  # type: ignore[arg-type]
    client.subscribe("tasks.*", after="17")  # type: ignore[arg-type]
    client.lock("deploy", lease=5)  # type: ignore[call-arg]
    await client.request("storage", "storage_get", deadline="tomorrow")  # type: ignore[arg-type]
    await backend.save({"a": object()})  # type: ignore[dict-item]
    await backend.get(1, "users")  # type: ignore[call-arg]
    AgentMessage(action="x", priority=1)  # type: ignore[call-arg]
