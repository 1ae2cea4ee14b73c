"""Queries that come in pages, and batches of operations."""

import asyncio

import pytest
from pydantic import JsonValue

from holdfast_protocol import AgentMessage, ConflictError, Fence, InternalError, NotFoundError
from holdfast_protocol.actions import ACTIONS, parse_payload
from holdfast_protocol.replies import Reply
from tests.unit.client.responder import TIMES, Script, answering, failing, giving
from tests.unit.client.scenes import scene
from tests.unit.client.virtualtime import in_virtual_time


def _pages(documents: list[JsonValue]) -> Script:
    """Pages of two, with cursors that are plain numbers."""

    def answer(message: AgentMessage) -> Reply:
        cursor = message.payload.get("cursor")
        start = int(cursor) if isinstance(cursor, str) else 0
        end = start + 2
        rest = str(end) if end < len(documents) else None
        meta: dict[str, JsonValue] = {"next_cursor": rest}
        if message.payload.get("with_meta"):
            meta["records"] = [TIMES for _ in documents[start:end]]
        return Reply.success(message, "storage", documents[start:end], meta)

    return answering(answer)


FIVE: list[JsonValue] = [{"id": n} for n in range(1, 6)]


@in_virtual_time
async def test_awaiting_a_query_gives_its_first_page() -> None:
    async with scene(_pages(FIVE)) as at:
        page = await at.client.storage.query({"done": False}, limit=2)
        assert (list(page), len(page), page[1]) == (FIVE[:2], 2, {"id": 2})
        assert page.next_cursor == "2"
        with pytest.raises(ValueError, match="with_meta"):
            _ = page.records
        following = await at.client.storage.query({"done": False}, cursor=page.next_cursor)
        assert following.documents == FIVE[2:4]


@in_virtual_time
async def test_iterating_a_query_gives_all_documents() -> None:
    async with scene(_pages(FIVE)) as at:
        query = at.client.storage.list()
        assert [document async for document in query] == FIVE
        assert await query.all() == FIVE, "used again, it asks again"
        assert [len(page) async for page in query.pages()] == [2, 2, 1]
        assert [d async for d in at.client.storage.list(cursor="4")] == FIVE[4:]


@in_virtual_time
async def test_the_next_page_is_asked_for_only_when_it_is_wanted() -> None:
    async with scene(_pages(FIVE)) as at:
        seen = []
        async for document in at.client.storage.list():
            seen.append(document)
            if len(seen) == 2:
                break
        assert len(at.agent.received) == 1


@in_virtual_time
async def test_pages_with_facts_give_records() -> None:
    async with scene(_pages(FIVE)) as at:
        query = at.client.storage.query(with_meta=True)
        records = [record async for record in query.records()]
        assert [(record.id, record.version) for record in records] == [(n, 3) for n in range(1, 6)]


@in_virtual_time
async def test_an_agent_that_goes_in_circles_is_noticed() -> None:
    async with scene(giving([], {"next_cursor": "again"})) as at:
        with pytest.raises(InternalError):
            await asyncio.wait_for(at.client.storage.list().all(), 1)


@in_virtual_time
async def test_what_a_query_asks() -> None:
    async with scene(giving([], {"next_cursor": None})) as at:
        await at.client.storage.query(
            {"a": {"$gt": 1}},
            sort=[("a", "desc"), ("b", "asc")],
            fields=("a", "b"),
            collection="u",
            limit=5,
            cursor="c",
            with_meta=True,
        )
        await at.client.storage.query()
        await at.client.storage.query(fields=[])
        await at.client.storage.list(collection="u", limit=1)
        payloads = [received.messages[0].payload for received in at.agent.received]
        assert payloads == [
            {
                "filters": {"a": {"$gt": 1}},
                "sort": [["a", "desc"], ["b", "asc"]],
                "fields": ["a", "b"],
                "collection": "u",
                "limit": 5,
                "cursor": "c",
                "with_meta": True,
            },
            {},
            {"fields": []},
            {"collection": "u", "limit": 1},
        ]
        for received in at.agent.received:
            (message,) = received.messages
            parse_payload(ACTIONS[message.action], message.payload)


OUTCOMES: list[JsonValue] = [
    {"status": "success", "result": {"id": 1}, "meta": TIMES},
    {"status": "error", "error": "No.", "error_type": "not_found", "details": {"a": 1}},
    {"status": "success", "result": 5, "meta": {}},
]


@in_virtual_time
async def test_a_batch_executes_what_was_collected() -> None:
    async with scene(giving(OUTCOMES)) as at:
        batch = at.client.storage.batch(atomic=False, collection="u")
        batch.save({"a": 1}, ttl_seconds=5).update(1, {"b": 2}).get(1).delete(1, if_version=2)
        batch.add("storage_count", {"filters": {}})
        assert len(batch) == 5
        saved, failed, counted = await batch.run(message_id="m")
        (message,) = at.agent.received[0].messages
        assert message.id == "m"
        assert message.payload == {
            "atomic": False,
            "collection": "u",
            "operations": [
                {"action": "storage_save", "payload": {"task": {"a": 1}, "ttl_seconds": 5}},
                {"action": "storage_update", "payload": {"task_id": 1, "changes": {"b": 2}}},
                {"action": "storage_get", "payload": {"task_id": 1}},
                {"action": "storage_delete", "payload": {"task_id": 1, "if_version": 2}},
                {"action": "storage_count", "payload": {"filters": {}}},
            ],
        }
        parse_payload(ACTIONS["storage_batch"], message.payload)
        assert (saved.ok, saved.record.id, saved.record.version) == (True, 1, 3)
        assert (failed.ok, type(failed.error)) == (False, NotFoundError)
        with pytest.raises(NotFoundError) as caught:
            _ = failed.record
        assert caught.value.details == {"a": 1}
        assert counted.result == 5
        with pytest.raises(ValueError, match="no document"):
            _ = counted.record


@in_virtual_time
async def test_a_batch_may_have_a_fence() -> None:
    async with scene(giving(OUTCOMES[:1])) as at:
        await at.client.storage.batch(fence=Fence(lock="x", token=7)).save({"a": 1}).run()
        (message,) = at.agent.received[0].messages
        assert message.payload["fence"] == {"lock": "x", "token": 7}
        parse_payload(ACTIONS["storage_batch"], message.payload)


@in_virtual_time
async def test_an_atomic_batch_raises_what_stopped_it() -> None:
    async with scene(failing("conflict", {"index": 2})) as at:
        with pytest.raises(ConflictError) as caught:
            await at.client.storage.batch().save({}).run()
        assert caught.value.details == {"index": 2}
