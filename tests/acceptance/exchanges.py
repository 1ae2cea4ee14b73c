"""Every action of the contract's section 6, and its answer to the letter, on an empty store."""

from typing import Any

from tests.acceptance.shapes import error, success

_HERE = {"collection": "kelp"}
_FACTS = {"created_at": "<moment>", "updated_at": "<moment>"}
_ADA: dict[str, Any] = {"id": 1, "title": "Water", "owner": {"name": "Ada"}, "tries": 2}
_BOB: dict[str, Any] = {"id": "b", "title": "Cut", "owner": {"name": "Bob"}, "tags": ["sharp"]}
_DONE = _ADA | {"done": True, "tries": 3, "log": ["started"]}


_LEASE = {
    "name": "kelp bed",
    "owner": "me",
    "token": 1,
    "acquired_at": "<moment>",
    "expires_at": "<moment>",
}


def _said(name: str, action: str, /, **payload: Any) -> dict[str, Any]:
    return {"id": name, "sender": "me", "action": action, "payload": _HERE | payload}


def _asked(name: str, action: str, /, **payload: Any) -> dict[str, Any]:
    return {"id": name, "sender": "me", "action": action, "payload": payload}


# Each message, and its answer as it has to be.
EXCHANGES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (
        _said("save", "storage_save", task={k: v for k, v in _ADA.items() if k != "id"}),
        success("save", _ADA, {"version": 1, "created": True, "sequence": 1} | _FACTS),
    ),
    (
        _said("save b", "storage_save", record=_BOB, if_version=0, ttl_seconds=3600),
        success(
            "save b",
            _BOB,
            {"version": 1, "created": True, "expires_at": "<moment>", "sequence": 2} | _FACTS,
        ),
    ),
    (
        _said("get", "storage_get", task_id=1),
        success("get", _ADA, {"version": 1, "sequence": 2} | _FACTS),
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
        success("update", _DONE, {"version": 2, "sequence": 3} | _FACTS),
    ),
    (
        _said("list", "storage_list", limit=1, with_meta=True),
        success(
            "list",
            [_DONE],
            {
                "next_cursor": "<cursor>",
                "records": [{"id": 1, "version": 2} | _FACTS],
                "sequence": 3,
            },
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
            {"next_cursor": None, "sequence": 3},
        ),
    ),
    (
        _said("count", "storage_count", filters={"done": {"$exists": False}}),
        success("count", 1, {"sequence": 3}),
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
                    "meta": {"version": 1, "created": True, "sequence": 4} | _FACTS,
                },
                {
                    "status": "success",
                    "result": {"id": 2, "n": 1},
                    "meta": {"version": 1, "sequence": 5} | _FACTS,
                },
                {"status": "success", "result": 2, "meta": {"sequence": 5}},
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
                    "meta": {"version": 1, "created": True, "sequence": 6} | _FACTS,
                },
            ],
            {},
        ),
    ),
    (
        _said("delete", "storage_delete", task_id="b", if_version=1),
        success("delete", _BOB, {"version": 1, "expires_at": "<moment>", "sequence": 7} | _FACTS),
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
    (
        _asked("acquire", "lock_acquire", name="kelp bed", lease_seconds=3600),
        success("acquire", _LEASE, {}),
    ),
    (
        _asked("held", "lock_acquire", name="kelp bed", lease_seconds=0.5, owner="another"),
        error(
            "held",
            "conflict",
            "the lock kelp bed is held by me",
            {"owner": "me", "retry_after_seconds": "<seconds>"},
        ),
    ),
    (
        _asked("holder", "lock_get", name="kelp bed"),
        success("holder", _LEASE, {}),
    ),
    (
        _said("fenced", "storage_save", task={}, fence={"lock": "kelp bed", "token": 1}),
        success("fenced", {"id": 4}, {"version": 1, "created": True, "sequence": 8} | _FACTS),
    ),
    (
        _asked("renew", "lock_renew", name="kelp bed", token=1, lease_seconds=7200),
        success("renew", _LEASE, {}),
    ),
    (
        _asked("wrong token", "lock_release", name="kelp bed", token=2),
        error(
            "wrong token",
            "conflict",
            "the lock kelp bed is held with another token",
            {"current_token": 1},
        ),
    ),
    (
        _asked("release", "lock_release", name="kelp bed", token=1),
        success("release", _LEASE, {}),
    ),
    (
        _asked("no holder", "lock_get", name="kelp bed"),
        error("no holder", "not_found", "the lock kelp bed is not held", {}),
    ),
    (
        _said("too late", "storage_save", task={}, fence={"lock": "kelp bed", "token": 1}),
        error(
            "too late",
            "conflict",
            "the lock kelp bed is not held with this token any more",
            {"lock": "kelp bed", "current_token": None},
        ),
    ),
]

# Asked when all of that is done, as no order is promised of what reads the events.
OF_EVENTS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (
        _said("events", "storage_events", after=5, limit=2),
        success(
            "events",
            [
                {
                    "id": "kelp/6",
                    "collection": "kelp",
                    "kind": "created",
                    "record_id": 3,
                    "version": 1,
                    "sequence": 6,
                    "message_id": "each for itself",
                    "sender": "me",
                    "timestamp": "<moment>",
                    "document": {"id": 3, "n": 3},
                },
                {
                    "id": "kelp/7",
                    "collection": "kelp",
                    "kind": "deleted",
                    "record_id": "b",
                    "version": 1,
                    "sequence": 7,
                    "message_id": "delete",
                    "sender": "me",
                    "timestamp": "<moment>",
                    "document": _BOB,
                },
            ],
            {"first_sequence": 1, "last_sequence": 8},
        ),
    ),
    (
        _asked("positions", "storage_positions"),
        success("positions", [{"collection": "kelp", "sequence": 8}], {}),
    ),
]
