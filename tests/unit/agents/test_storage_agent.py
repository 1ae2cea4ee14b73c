"""The storage agent: the wire contract's storage actions, message by message."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import JsonValue

from holdfast_agents import StorageAgent
from holdfast_backends import InMemoryBackend
from holdfast_protocol import AgentMessage, AgentResponse

Json = dict[str, JsonValue]


@pytest.fixture
def agent() -> StorageAgent:
    return StorageAgent(InMemoryBackend(clock=lambda: 1_700_000_000_000_000))


async def ask(agent: StorageAgent, action: str, **payload: JsonValue) -> AgentResponse:
    return await agent.handle_message(AgentMessage(action=action, payload=payload))


def places(response: AgentResponse) -> list[JsonValue]:
    """Where the response says that something is wrong."""
    errors = response.details["errors"]
    assert isinstance(errors, list)
    return [error["loc"] for error in errors if isinstance(error, dict)]


async def test_save_answers_the_document_and_its_facts(agent: StorageAgent) -> None:
    response = await ask(agent, "storage_save", task={"title": "x"}, ttl_seconds=60)
    assert response.result == {"id": 1, "title": "x"}
    assert response.meta == {
        "version": 1,
        "created_at": "2023-11-14T22:13:20.000000Z",
        "updated_at": "2023-11-14T22:13:20.000000Z",
        "expires_at": "2023-11-14T22:14:20.000000Z",
        "created": True,
        "sequence": 1,
    }


async def test_get_has_no_created(agent: StorageAgent) -> None:
    await ask(agent, "storage_save", task={})
    response = await ask(agent, "storage_get", task_id=1)
    assert response.result == {"id": 1}
    assert response.meta.keys() == {"version", "created_at", "updated_at", "sequence"}


async def test_record_stands_for_task(agent: StorageAgent) -> None:
    await ask(agent, "storage_save", record={"id": "a"}, collection="users")
    response = await ask(agent, "storage_get", record_id="a", collection="users")
    assert response.result == {"id": "a"}


async def test_not_found_names_the_record_of_its_collection(agent: StorageAgent) -> None:
    task = await ask(agent, "storage_get", task_id=7)
    user = await ask(agent, "storage_get", task_id=7, collection="users")
    assert (task.error_type, task.error) == ("not_found", "Task with ID 7 not found")
    assert user.error == "users record 7 not found"


async def test_a_conflict_tells_the_current_version(agent: StorageAgent) -> None:
    await ask(agent, "storage_save", task={"id": 1})
    response = await ask(agent, "storage_save", task={"id": 1}, if_version=0)
    assert (response.error_type, response.details) == ("conflict", {"current_version": 1})


@pytest.mark.parametrize(
    ("payload", "loc"),
    [
        ({"task": {"a": {"$x": 1}}}, ["task", "a", "$x"]),
        ({"record": {"$x": 1}}, ["record", "$x"]),
        ({"task": {"id": 0}}, ["task", "id"]),
        ({"task": {"id": True}}, ["task", "id"]),
        ({"task": {}, "collection": "Tasks"}, ["collection"]),
        ({"task": {}, "unknown": 1}, ["unknown"]),
        ({"task": {}, "record": {}}, ["record"]),
        ({}, ["task"]),
        ({"task": {}, "ttl_seconds": 0}, ["ttl_seconds"]),
        ({"task": {}, "if_version": 1}, ["if_version"]),
    ],
)
async def test_a_refused_save_names_the_place(
    agent: StorageAgent, payload: Json, loc: list[JsonValue]
) -> None:
    response = await ask(agent, "storage_save", **payload)
    assert response.error_type == "validation_error"
    assert places(response) == [loc]


@pytest.mark.parametrize(
    ("payload", "loc"),
    [
        ({"filters": {"a": {"$zz": 1}}}, ["filters", "a", "$zz"]),
        ({"filters": {"$or": [{"b": {"$gt": None}}]}}, ["filters", "$or", 0, "b", "$gt"]),
        ({"filters": {"a..b": 1}}, ["filters", "a..b"]),
        ({"sort": [["a", "up"]]}, ["sort", 0, 1]),
        ({"fields": ["$a"]}, ["fields", 0]),
        ({"cursor": "forged"}, ["cursor"]),
        ({"limit": 0}, ["limit"]),
    ],
)
async def test_a_refused_query_names_the_place(
    agent: StorageAgent, payload: Json, loc: list[JsonValue]
) -> None:
    response = await ask(agent, "storage_query", **payload)
    assert response.error_type == "validation_error"
    assert places(response) == [loc]


async def test_a_page_tells_the_cursor_and_on_request_the_facts(agent: StorageAgent) -> None:
    await agent.handle_messages(
        [AgentMessage(action="storage_save", payload={"task": {"n": n}}) for n in range(3)]
    )
    page = await ask(agent, "storage_query", sort=[["n", "desc"]], limit=2, with_meta=True)
    assert page.result == [{"id": 3, "n": 2}, {"id": 2, "n": 1}]
    records = page.meta["records"]
    assert isinstance(records, list)
    assert [record["id"] for record in records if isinstance(record, dict)] == [3, 2]
    rest = await ask(
        agent,
        "storage_query",
        sort=[["n", "desc"]],
        cursor=page.meta["next_cursor"],
        fields=["n"],
    )
    assert rest.result == [{"id": 1, "n": 0}]
    assert rest.meta == {"next_cursor": None, "sequence": 3}


async def test_a_cursor_of_a_list_is_none_of_a_query(agent: StorageAgent) -> None:
    for _ in range(2):
        await ask(agent, "storage_save", task={})
    page = await ask(agent, "storage_list", limit=1)
    response = await ask(agent, "storage_query", cursor=page.meta["next_cursor"])
    assert response.error_type == "validation_error"


async def test_a_list_without_limit_stops_at_the_response_limit() -> None:
    agent = StorageAgent(InMemoryBackend(), response_limit=2_000)
    for _ in range(10):
        await ask(agent, "storage_save", task={"text": "x" * 500})
    page = await ask(agent, "storage_list")
    assert isinstance(page.result, list)
    assert 0 < len(page.result) < 10
    assert len(json.dumps(page.result)) <= 2_000
    assert page.meta["next_cursor"] is not None


async def test_a_batch_over_the_response_limit_changes_nothing() -> None:
    agent = StorageAgent(InMemoryBackend(), response_limit=2_000)
    save: Json = {"action": "storage_save", "payload": {"task": {"text": "x" * 900}}}
    response = await ask(agent, "storage_batch", operations=[save, save, save])
    count = await ask(agent, "storage_count")
    assert response.error_type == "too_large"
    assert count.result == 0


async def test_an_atomic_batch_fails_as_its_first_failure(agent: StorageAgent) -> None:
    response = await ask(
        agent,
        "storage_batch",
        operations=[
            {"action": "storage_save", "payload": {"task": {}}},
            {"action": "storage_get", "payload": {"task_id": 9}},
        ],
    )
    saved = await ask(agent, "storage_save", task={})
    assert (response.error_type, response.error) == ("not_found", "Task with ID 9 not found")
    assert response.details == {"index": 1}
    assert saved.result == {"id": 1}


async def test_an_atomic_batch_reports_the_first_bad_payload(agent: StorageAgent) -> None:
    response = await ask(
        agent,
        "storage_batch",
        operations=[
            {"action": "storage_query", "payload": {"filters": {"a": {"$zz": 1}}}},
            {"action": "storage_save", "payload": {}},
        ],
    )
    assert response.error_type == "validation_error"
    assert response.details["index"] == 0
    assert places(response) == [["operations", 0, "payload", "filters", "a", "$zz"]]


async def test_a_batch_that_is_not_atomic_answers_each_for_itself(agent: StorageAgent) -> None:
    response = await ask(
        agent,
        "storage_batch",
        collection="notes",
        atomic=False,
        operations=[
            {"action": "storage_save", "payload": {"task": {"a": 1}}},
            {"action": "storage_index", "payload": {}},
            {"action": "storage_get", "payload": {"task_id": 9}},
            {"action": "storage_list", "payload": {}},
        ],
    )
    assert isinstance(response.result, list)
    saved, index, missing, listed = response.result
    assert isinstance(saved, dict)
    assert isinstance(index, dict)
    assert isinstance(missing, dict)
    assert isinstance(listed, dict)
    assert saved["result"] == {"id": 1, "a": 1}
    assert index["error_type"] == "validation_error"
    assert missing["error"] == "notes record 9 not found"
    assert listed["result"] == [{"id": 1, "a": 1}]
    assert listed["meta"] == {"next_cursor": None, "sequence": 1}


async def test_a_batch_of_more_than_1000_operations_is_too_large(agent: StorageAgent) -> None:
    get: Json = {"action": "storage_get", "payload": {"task_id": 1}}
    operations: list[JsonValue] = [get] * 1_001
    response = await ask(agent, "storage_batch", operations=operations)
    assert response.error_type == "too_large"


async def test_a_passed_deadline_is_not_executed(agent: StorageAgent) -> None:
    past = datetime.now(UTC) - timedelta(seconds=1)
    message = AgentMessage(action="storage_save", payload={"task": {}}, deadline=past)
    response = await agent.handle_message(message)
    count = await ask(agent, "storage_count")
    assert response.error_type == "expired"
    assert count.result == 0


async def test_a_wrong_payload_is_refused_before_a_passed_deadline(agent: StorageAgent) -> None:
    past = datetime.now(UTC) - timedelta(seconds=1)
    message = AgentMessage(action="storage_save", payload={"nothing": 1}, deadline=past)
    assert (await agent.handle_message(message)).error_type == "validation_error"


async def test_messages_for_another_agent_are_refused(agent: StorageAgent) -> None:
    message = AgentMessage(action="storage_count", recipient="caching")
    response = await agent.handle_message(message)
    assert response.error_type == "validation_error"
    assert places(response) == [["recipient"]]


async def test_describe_gives_the_schemas_of_all_actions(agent: StorageAgent) -> None:
    response = await ask(agent, "agent_describe")
    assert isinstance(response.result, dict)
    actions = response.result["actions"]
    assert isinstance(actions, list)
    names = [str(action["action"]) for action in actions if isinstance(action, dict)]
    assert names == sorted(names)
    assert {"storage_save", "storage_batch", "agent_ping", "agent_stats"} <= set(names)


async def test_stats_count_outcomes(agent: StorageAgent) -> None:
    await ask(agent, "storage_get", task_id=1)
    response = await ask(agent, "agent_stats")
    assert isinstance(response.result, dict)
    counters = response.result["counters"]
    assert isinstance(counters, dict)
    assert counters["not_found"] == 1


async def test_collections_are_counted_by_name(agent: StorageAgent) -> None:
    await ask(agent, "storage_save", task={}, collection="b")
    await ask(agent, "storage_save", task={}, collection="a")
    response = await ask(agent, "storage_collections")
    assert response.result == [
        {"collection": "a", "count": 1},
        {"collection": "b", "count": 1},
    ]


async def test_index_gives_the_paths_as_given(agent: StorageAgent) -> None:
    response = await ask(agent, "storage_index", paths=["b", "a.c"])
    assert response.result == {"paths": ["b", "a.c"], "ready": True}
    assert (await ask(agent, "storage_index")).result == response.result
