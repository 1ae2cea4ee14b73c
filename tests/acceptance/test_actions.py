"""Every action of the contract's section 6 in one array, its answers compared as JSON."""

from typing import Any

import pytest

from tests.acceptance.plain_client import PlainClient
from tests.acceptance.shapes import error, settled, success

pytestmark = pytest.mark.amqp

_HERE = {"collection": "kelp"}
_FACTS = {"created_at": "<moment>", "updated_at": "<moment>"}
_ADA: dict[str, Any] = {"id": 1, "title": "Water", "owner": {"name": "Ada"}, "tries": 2}
_BOB: dict[str, Any] = {"id": "b", "title": "Cut", "owner": {"name": "Bob"}, "tags": ["sharp"]}
_DONE = _ADA | {"done": True, "tries": 3, "log": ["started"]}


def _said(name: str, action: str, **payload: Any) -> dict[str, Any]:
    return {"id": name, "sender": "me", "action": action, "payload": _HERE | payload}


# Each message, and its answer as it has to be.
_EXCHANGES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (
        _said("save", "storage_save", task={k: v for k, v in _ADA.items() if k != "id"}),
        success("save", _ADA, {"version": 1, "created": True} | _FACTS),
    ),
    (
        _said("save b", "storage_save", record=_BOB, if_version=0, ttl_seconds=3600),
        success("save b", _BOB, {"version": 1, "created": True, "expires_at": "<moment>"} | _FACTS),
    ),
    (
        _said("get", "storage_get", task_id=1),
        success("get", _ADA, {"version": 1} | _FACTS),
    ),
    (
        _said(
            "update",
            "storage_update",
            record_id=1,
            changes={"done": True},
            increment={"tries": 1},
            append={"log": ["started"]},
            if_version=1,
        ),
        success("update", _DONE, {"version": 2} | _FACTS),
    ),
    (
        _said("list", "storage_list", limit=1, with_meta=True),
        success(
            "list",
            [_DONE],
            {"next_cursor": "<cursor>", "records": [{"id": 1, "version": 2} | _FACTS]},
        ),
    ),
    (
        _said(
            "query",
            "storage_query",
            filters={"owner.name": {"$in": ["Ada", "Bob"]}},
            sort=[["owner.name", "desc"]],
            fields=["owner.name", "done"],
        ),
        success(
            "query",
            [
                {"id": "b", "owner": {"name": "Bob"}},
                {"id": 1, "owner": {"name": "Ada"}, "done": True},
            ],
            {"next_cursor": None},
        ),
    ),
    (
        _said("count", "storage_count", filters={"done": {"$exists": False}}),
        success("count", 1, {}),
    ),
    (
        _said(
            "batch",
            "storage_batch",
            operations=[
                {"action": "storage_save", "payload": {"task": {"n": 1}}},
                {"action": "storage_delete", "payload": {"task_id": 2}},
                {"action": "storage_count", "payload": {}},
            ],
        ),
        success(
            "batch",
            [
                {
                    "status": "success",
                    "result": {"id": 2, "n": 1},
                    "meta": {"version": 1, "created": True} | _FACTS,
                },
                {
                    "status": "success",
                    "result": {"id": 2, "n": 1},
                    "meta": {"version": 1} | _FACTS,
                },
                {"status": "success", "result": 2, "meta": {}},
            ],
            {},
        ),
    ),
    (
        _said(
            "undone",
            "storage_batch",
            operations=[
                {"action": "storage_save", "payload": {"task": {"n": 1}}},
                {"action": "storage_get", "payload": {"task_id": 77}},
            ],
        ),
        error("undone", "not_found", "kelp record 77 not found", {"index": 1}),
    ),
    (
        _said(
            "each for itself",
            "storage_batch",
            atomic=False,
            operations=[
                {"action": "storage_get", "payload": {"task_id": 77}},
                {"action": "storage_save", "payload": {"task": {"n": 3}}},
            ],
        ),
        success(
            "each for itself",
            [
                {
                    "status": "error",
                    "error": "kelp record 77 not found",
                    "error_type": "not_found",
                    "details": {},
                },
                {
                    "status": "success",
                    "result": {"id": 3, "n": 3},
                    "meta": {"version": 1, "created": True} | _FACTS,
                },
            ],
            {},
        ),
    ),
    (
        _said("delete", "storage_delete", task_id="b", if_version=1),
        success("delete", _BOB, {"version": 1, "expires_at": "<moment>"} | _FACTS),
    ),
    (
        _said("gone", "storage_get", task_id="b"),
        error("gone", "not_found", "kelp record b not found", {}),
    ),
    (
        _said("index", "storage_index", paths=["owner.name", "done"]),
        success("index", {"paths": ["owner.name", "done"], "ready": "<ready>"}, {}),
    ),
    (
        {"id": "collections", "action": "storage_collections"},
        success("collections", [{"collection": "kelp", "count": 2}], {}),
    ),
]


async def test_every_action_answers_to_the_letter(client: PlainClient) -> None:
    answers = await client.ask_all(said for said, _ in _EXCHANGES)
    assert isinstance(answers["list"]["meta"]["next_cursor"], str)
    answers["list"]["meta"]["next_cursor"] = "<cursor>"
    assert isinstance(answers["index"]["result"]["ready"], bool)
    answers["index"]["result"]["ready"] = "<ready>"
    # The store is shared with other tests, and their collections.
    listed = answers["collections"]["result"]
    assert [entry["collection"] for entry in listed] == sorted(e["collection"] for e in listed)
    answers["collections"]["result"] = [e for e in listed if e["collection"] == "kelp"]
    for said, expected in _EXCHANGES:
        assert _told(settled(answers[said["id"]])) == _told(expected), said


async def test_every_agent_tells_of_itself(client: PlainClient) -> None:
    actions = ("agent_ping", "agent_describe", "agent_stats")
    answers = await client.ask_all({"id": action, "action": action} for action in actions)
    assert settled(answers["agent_ping"])["result"] == {"agent": "storage", "timestamp": "<moment>"}
    described = answers["agent_describe"]["result"]
    names = [action["action"] for action in described["actions"]]
    assert names == sorted({said["action"] for said, _ in _EXCHANGES} | set(actions))
    assert all(
        {"payload", "result", "summary", "writes"} <= action.keys()
        for action in described["actions"]
    )
    assert answers["agent_stats"]["result"]["counters"]["messages"] > 0


def _told(response: dict[str, Any]) -> dict[str, Any]:
    """Absent, null and empty are the same for `meta` and `details` of a response."""
    if isinstance(result := response.get("result"), list):
        response = response | {
            "result": [_told(item) if _is_outcome(item) else item for item in result]
        }
    return {key: value for key, value in response.items() if value not in ({}, None)}


def _is_outcome(item: Any) -> bool:
    return isinstance(item, dict) and "status" in item
