"""Bad input, what it has to be answered with, and the place that has to be named."""

import json
from dataclasses import dataclass
from typing import Any, TypeAlias

Loc: TypeAlias = tuple[str | int, ...]
Payload: TypeAlias = dict[str, Any]

BIG = 2**63 - 1
_NO_COLLECTIONS: list[Any] = [
    *("", "Tasks", "a b", "tasks'; DROP", "../tasks", "a" * 64, "täsks", "tasks\n", 1)
]
_NO_IDS: list[Any] = [0, -1, 1.0, True, "", "x" * 256, [], {}]
_NO_NUMBERS: list[Any] = ["1", True, None, []]


@dataclass(frozen=True)
class Hostile:
    """A body, and the error it leads to. `loc` is the beginning of the first place named."""

    name: str
    body: bytes
    loc: Loc | None
    error_type: str = "validation_error"


def nested(levels: int) -> Any:
    """Lists in lists, so many."""
    value: Any = []
    for _ in range(levels - 1):
        value = [value]
    return value


def negations(levels: int) -> Any:
    """A filter of combinators, so deep."""
    value: Any = {"a": 1}
    for _ in range(levels):
        value = {"$not": value}
    return value


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:40]}…{len(text)}"


def _envelope(
    fields: dict[str, Any], *loc: str | int, error_type: str = "validation_error"
) -> Hostile:
    said = {"action": "storage_save", "payload": {"task": {}}} | fields
    return Hostile(f"envelope {_short(fields)}", json.dumps(said).encode(), loc, error_type)


def _payload(
    action: str, payload: Payload, *loc: str | int, error_type: str = "validation_error"
) -> Hostile:
    body = json.dumps({"action": f"storage_{action}", "payload": payload}).encode()
    return Hostile(f"{action} {_short(payload)}", body, loc or None, error_type)


def _task(text: str, *loc: str | int) -> Hostile:
    """A document as JSON text that no encoder would write."""
    body = f'{{"action":"storage_save","payload":{{"task":{text}}}}}'.encode()
    return Hostile(f"text {_short(text)}", body, ("payload", "task", *loc))


def _body(body: bytes, error_type: str = "validation_error") -> Hostile:
    return Hostile(f"body {body[:20].decode(errors='replace')}", body, (), error_type)


_BODIES = [
    _body(b""),
    _body(b"{"),
    _body(b"null"),
    _body(b"[]"),
    _body(b"7"),
    _body(b"{'action': 'agent_ping'}"),
    _body(b'{"action":"agent_ping"}{"action":"agent_ping"}'),
    _body(b'{"action":"agent_ping","payload":{"n":NaN}}'),
    _body(b'{"action":"agent_ping","payload":{"n":Infinity}}'),
    _body('{"action":"agent_ping"}'.encode("utf-16")),
    _body(b'\xef\xbb\xbf{"action":"agent_ping"}'),
    _body(b'{"action":"agent_ping\xff"}'),
    _body(b"[" * 100_000 + b"]" * 100_000),
    _body(b'{"a":' * 1_000 + b"1" + b"}" * 1_000),
    _body(json.dumps([{"action": "agent_ping"}] * 1_001).encode(), "too_large"),
    _body(b'{"action":"agent_ping"}' + b" " * (16 * 1024 * 1024), "too_large"),
]

_TEXTS = [
    _task('{"a":1,"a":1}', "a"),
    _task('{"a":{"b":1,"c":2,"b":3}}', "a", "b"),
    _task('{"a":"\\u0000"}', "a"),
    _task('{"a\\u0000":1}'),
    _task('{"a":"\\ud800"}', "a"),
    _task('{"a":["\\udc00\\ud800"]}', "a", 0),
    _task('{"\\ud800":1}'),
    _task('{"a":1e400}', "a"),
    _task('{"a":-1e400}', "a"),
    _task('{"a":9223372036854775808}', "a"),
    _task('{"a":-9223372036854775809}', "a"),
    _task('{"a":' + "9" * 5_000 + "}", "a"),
    _task('{"id":9223372036854775808}', "id"),
]

_ENVELOPES = [
    _envelope({"action": None}, "action"),
    _envelope({"action": 1}, "action"),
    _envelope({"action": ""}, "action"),
    _envelope({"action": "Storage_save"}, "action"),
    _envelope({"action": "a" * 65}, "action"),
    _envelope({"action": "storage_save\n"}, "action"),
    _envelope({"action": "storage_drop"}, error_type="unknown_action"),
    _envelope({"payload": []}, "payload"),
    _envelope({"payload": "{}"}, "payload"),
    _envelope({"id": ""}, "id"),
    _envelope({"id": 7}, "id"),
    _envelope({"id": "x" * 129}, "id"),
    _envelope({"sender": "x" * 129}, "sender"),
    _envelope({"sender": ["me"]}, "sender"),
    _envelope({"correlation_id": ""}, "correlation_id"),
    _envelope({"causation_id": 1}, "causation_id"),
    _envelope({"recipient": "greeting"}, "recipient"),
    _envelope({"timestamp": "2026-11-20T08:00:00"}, "timestamp"),
    _envelope({"timestamp": "2026-11-20t08:00:00Z"}, "timestamp"),
    _envelope({"timestamp": "2026-11-20T08:00:60Z"}, "timestamp"),
    _envelope({"timestamp": "2026-02-30T08:00:00Z"}, "timestamp"),
    _envelope({"deadline": 1_800_000_000}, "deadline"),
    _envelope({"deadline": "tomorrow"}, "deadline"),
    _envelope({"deadline": "2020-01-01T00:00:00Z"}, error_type="expired"),
    _envelope({"metadata": []}, "metadata"),
    _envelope({"schema_version": "2"}, "schema_version"),
    _envelope({"schema_version": 1}, "schema_version"),
    _envelope({"priority": 1}, "priority"),
    _envelope({"__class__": "os"}, "__class__"),
]

_SAVES = [
    _payload("save", {}, "task"),
    _payload("save", {"task": None}, "task"),
    _payload("save", {"task": []}, "task"),
    _payload("save", {"task": "{}"}, "task"),
    _payload("save", {"task": {}, "record": {}}, "record"),
    _payload("save", {"task": {}, "colour": 1}, "colour"),
    *(_payload("save", {"task": {}, "collection": name}, "collection") for name in _NO_COLLECTIONS),
    *(_payload("save", {"task": {"id": value}}, "task", "id") for value in _NO_IDS),
    _payload("save", {"task": {"$set": 1}}, "task", "$set"),
    _payload("save", {"task": {"a": [{"$b": 1}]}}, "task", "a", 0, "$b"),
    _payload("save", {"task": {"k" * 257: 1}}, "task"),
    _payload("save", {"task": {"a": nested(64)}}, "task", "a"),
    _payload("save", {"task": {"a": "x" * 1024 * 1024}}, error_type="too_large"),
    *(
        _payload("save", {"task": {"id": 1}, "if_version": value}, "if_version")
        for value in (-1, 1.0, "1", True)
    ),
    _payload("save", {"task": {}, "if_version": 1}, "if_version"),
    _payload("save", {"task": {"id": 1}, "if_version": 9}, error_type="conflict"),
    *(
        _payload("save", {"task": {}, "ttl_seconds": value}, "ttl_seconds")
        for value in (0, -1, 3_155_760_001, "1", True)
    ),
]

_CHANGES = [
    _payload("get", {}, "task_id"),
    _payload("get", {"task_id": 1, "record_id": 1}, "record_id"),
    *(_payload("get", {"task_id": value}, "task_id") for value in (0, 1.0, True, "", "x" * 256)),
    _payload("get", {"task_id": "1"}, error_type="not_found"),
    _payload("get", {"task_id": "' OR 1=1 --"}, error_type="not_found"),
    _payload("delete", {"task_id": 1, "if_version": 0}, "if_version"),
    _payload("delete", {"task_id": 1, "if_version": 7}, error_type="conflict"),
    _payload("delete", {"task_id": 1, "force": True}, "force"),
    _payload("update", {"task_id": 1}),
    _payload("update", {"task_id": 77, "changes": {}}, error_type="not_found"),
    _payload("update", {"task_id": 1, "changes": []}, "changes"),
    _payload("update", {"task_id": 1, "changes": {"id": 2}}, "changes", "id"),
    _payload("update", {"task_id": 1, "changes": {"id": None}}, "changes", "id"),
    _payload("update", {"task_id": 1, "changes": {"$a": 1}}, "changes", "$a"),
    _payload("update", {"task_id": 1, "changes": {"a": nested(64)}}, "changes", "a"),
    _payload("update", {"task_id": 1, "changes": {"a": "x" * 2**20}}, error_type="too_large"),
    *(
        _payload("update", {"task_id": 1, "increment": {"n": value}}, "increment", "n")
        for value in _NO_NUMBERS
    ),
    *(
        _payload("update", {"task_id": 1, "increment": {path: 1}}, "increment", path)
        for path in ("", "a..b", ".a", "$a", "a.$b", "id", "text", "text.deep", "full", "none")
    ),
    _payload("update", {"task_id": 1, "increment": {"huge": 1e308}}, "increment", "huge"),
    *(
        _payload("update", {"task_id": 1, "append": {"list": value}}, "append", "list")
        for value in (1, "x", None, {"a": 1})
    ),
    *(
        _payload("update", {"task_id": 1, "append": {path: [1]}}, "append", path)
        for path in ("", "$a", "id", "text", "n", "none")
    ),
    _payload("update", {"task_id": 1, "append": {"list": [{"$a": 1}]}}, "append", "list"),
    _payload("update", {"task_id": 1, "changes": {}, "if_version": 0}, "if_version"),
    _payload("update", {"task_id": 1, "changes": {}, "if_version": 9}, error_type="conflict"),
]

_FILTERS = [
    ([], ()),
    ("a", ()),
    ({"$where": "1"}, ("$where",)),
    ({"$eq": 1}, ("$eq",)),
    ({"": 1}, ("",)),
    ({"a..b": 1}, ("a..b",)),
    ({".a": 1}, (".a",)),
    ({"a.": 1}, ("a.",)),
    ({"a.$b": 1}, ("a.$b",)),
    ({"a": {"$regex": "x"}}, ("a", "$regex")),
    ({"a": {"$gt": 1, "b": 2}}, ("a",)),
    ({"a": {"$gt": True}}, ("a", "$gt")),
    ({"a": {"$gt": None}}, ("a", "$gt")),
    ({"a": {"$lte": [1]}}, ("a", "$lte")),
    ({"a": {"$in": 1}}, ("a", "$in")),
    ({"a": {"$nin": list(range(1_001))}}, ("a", "$nin")),
    ({"a": {"$in": [{"$b": 1}]}}, ("a", "$in")),
    ({"a": {"$exists": 1}}, ("a", "$exists")),
    ({"a": {"$prefix": 1}}, ("a", "$prefix")),
    ({"a": {"$not": 1}}, ("a", "$not")),
    ({"a": {"$not": {"b": 1}}}, ("a", "$not")),
    ({"a": {"b": {"$c": 1}}}, ("a", "b", "$c")),
    ({"a": nested(65)}, ("a",)),
    ({"$and": {"a": 1}}, ("$and",)),
    ({"$or": [1]}, ("$or", 0)),
    ({"$not": []}, ("$not",)),
    (negations(9), ()),
    ({"$or": [{"a": n} for n in range(200)]}, ("$or",)),
]

_READS = [
    *(_payload("count", {"filters": filters}, "filters", *loc) for filters, loc in _FILTERS),
    _payload("count", {"sort": []}, "sort"),
    *(_payload("list", {"limit": value}, "limit") for value in (0, -1, 10_001, 1.0, "1", True)),
    *(
        _payload("list", {"cursor": value}, "cursor")
        for value in ("", "x", "AAAA", "é", 1, "A" * 10_000)
    ),
    _payload("list", {"with_meta": 1}, "with_meta"),
    _payload("list", {"offset": 1}, "offset"),
    *(
        _payload("query", {"sort": value}, "sort")
        for value in (
            *("a", ["a"], [["a"]], [["a", "up"]], [["a", "asc", 1]], [[1, "asc"]]),
            *([["", "asc"]], [["$a", "asc"]], [["a.$b", "desc"]], {"a": "asc"}),
        )
    ),
    *(
        _payload("query", {"fields": value}, "fields")
        for value in ("a", [1], [""], ["a..b"], ["$a"], {"a": 1})
    ),
    *(
        _payload("index", {"paths": value}, "paths")
        for value in ("a", [1], [""], ["$a"], [f"p{n}" for n in range(17)])
    ),
    _payload("collections", {"all": True}, "all"),
]

_GOOD = {"action": "storage_save", "payload": {"task": {}}}


def _batch(operation: Any, *loc: str | int) -> Hostile:
    said = {"operations": [_GOOD, operation]}
    return _payload("batch", said, "operations", 1, *loc)


_BATCHES = [
    _payload("batch", {}, "operations"),
    _payload("batch", {"operations": []}, "operations"),
    _payload("batch", {"operations": {}}, "operations"),
    _payload("batch", {"operations": [_GOOD], "atomic": 1}, "atomic"),
    _payload("batch", {"operations": [_GOOD] * 1_001}, error_type="too_large"),
    _batch(1),
    _batch({"action": "storage_drop"}, "action"),
    _batch({"action": "agent_ping"}, "action"),
    _batch({"action": "storage_index", "payload": {"paths": ["a"]}}, "action"),
    _batch({"action": "storage_batch", "payload": {"operations": [_GOOD]}}, "action"),
    _batch(_GOOD | {"id": "x"}, "id"),
    _batch({"action": "storage_save", "payload": {"task": {"id": 0}}}, "payload", "task", "id"),
    _batch({"action": "storage_get", "payload": {"task_id": 1, "x": 1}}, "payload", "x"),
    _batch(
        {"action": "storage_count", "payload": {"filters": {"a": {"$gt": None}}}},
        *("payload", "filters", "a", "$gt"),
    ),
    _payload(
        "batch",
        {"operations": [_GOOD, {"action": "storage_get", "payload": {"task_id": 77}}]},
        error_type="not_found",
    ),
]

HOSTILE: list[Hostile] = [
    *_BODIES,
    *_TEXTS,
    *_ENVELOPES,
    *_SAVES,
    *_CHANGES,
    *_READS,
    *_BATCHES,
]
