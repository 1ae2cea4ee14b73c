"""The payloads of the storage actions (wire contract, sections 6 and 10)."""

import pytest
from pydantic import JsonValue

from holdfast_protocol.actions import (
    STORAGE_ACTIONS,
    Payload,
    StorageDelete,
    StorageGet,
    StorageList,
    StorageSave,
    StorageUpdate,
    parse_payload,
)
from tests.unit.protocol.payload_checks import parse, refuse

MAX_INTEGER = 2**63 - 1

GET: dict[str, JsonValue] = {"task_id": 7}
SAVE: dict[str, JsonValue] = {"task": {"title": "Write"}}
UPDATE: dict[str, JsonValue] = {"task_id": 7, "changes": {"done": True}}
OPERATIONS: dict[str, JsonValue] = {"operations": [{"action": "storage_get", "payload": GET}]}

EXAMPLES: dict[str, dict[str, JsonValue]] = {
    "storage_save": SAVE,
    "storage_get": GET,
    "storage_update": UPDATE,
    "storage_delete": GET,
    "storage_list": {},
    "storage_query": {},
    "storage_count": {},
    "storage_batch": OPERATIONS,
    "storage_index": {},
    "storage_collections": {},
}


class TestEveryPayload:
    @pytest.mark.parametrize("action", EXAMPLES)
    def test_collection_is_optional_and_tasks_by_default(self, action: str) -> None:
        spec = STORAGE_ACTIONS[action]
        plain = parse_payload(spec, EXAMPLES[action])
        named = parse_payload(spec, {**EXAMPLES[action], "collection": "users"})
        null = parse_payload(spec, {**EXAMPLES[action], "collection": None})
        assert plain == null
        assert plain.model_dump()["collection"] == "tasks"
        assert named.model_dump()["collection"] == "users"

    @pytest.mark.parametrize("name", ["a", "a-b_9", "a" * 63])
    def test_collection_names(self, name: str) -> None:
        assert parse(StorageList, {"collection": name}).collection == name

    @pytest.mark.parametrize(
        "name", ["", "A", "9a", "_a", "a.b", "a b", "ä", "a\n", "a" * 64, 5, True, [], {}]
    )
    def test_other_collection_names_are_refused(self, name: JsonValue) -> None:
        assert refuse(StorageList, {"collection": name}) == [["collection"]]

    @pytest.mark.parametrize("action", EXAMPLES)
    @pytest.mark.parametrize("value", [1, None])
    def test_unknown_fields_are_refused(self, action: str, value: JsonValue) -> None:
        payload = {**EXAMPLES[action], "surprise": value}
        assert refuse(STORAGE_ACTIONS[action].payload, payload) == [["surprise"]]

    @pytest.mark.parametrize("action", EXAMPLES)
    def test_it_is_frozen(self, action: str) -> None:
        parsed = parse_payload(STORAGE_ACTIONS[action], EXAMPLES[action])
        with pytest.raises(ValueError, match="frozen"):
            setattr(parsed, "collection", "other")  # noqa: B010 - a name the type allows


class TestRecordIds:
    @pytest.mark.parametrize("name", ["task_id", "record_id"])
    @pytest.mark.parametrize("record_id", [1, MAX_INTEGER, "7", "x" * 255, "😀" * 255, " "])
    def test_integers_and_texts(self, name: str, record_id: int | str) -> None:
        parsed = parse(StorageGet, {name: record_id})
        assert parsed.record_id == record_id
        assert type(parsed.record_id) is type(record_id)

    @pytest.mark.parametrize(
        "record_id",
        [0, -1, MAX_INTEGER + 1, 1.0, True, False, "", "x" * 256, "a\0", [], {}, [1]],
    )
    def test_anything_else_is_refused(self, record_id: JsonValue) -> None:
        assert refuse(StorageGet, {"task_id": record_id}) == [["task_id"]]
        assert refuse(StorageSave, {"task": {"id": record_id}}) == [["task", "id"]]
        assert refuse(StorageSave, {"record": {"id": record_id}}) == [["record", "id"]]

    @pytest.mark.parametrize("model", [StorageGet, StorageDelete])
    def test_one_is_required(self, model: type[Payload]) -> None:
        assert refuse(model, {}) == [["task_id"]]
        assert refuse(model, {"task_id": None, "record_id": None}) == [["task_id"]]

    @pytest.mark.parametrize("record_id", [7, 8])
    def test_both_names_at_once_are_refused(self, record_id: int) -> None:
        assert refuse(StorageGet, {"task_id": 7, "record_id": record_id}) == [["record_id"]]

    def test_a_null_beside_the_other_name_is_absent(self) -> None:
        assert parse(StorageGet, {"task_id": None, "record_id": 7}).record_id == 7


class TestSave:
    @pytest.mark.parametrize("name", ["task", "record"])
    def test_the_document_under_either_name(self, name: str) -> None:
        document: dict[str, JsonValue] = {"id": 7, "$odd": [1.0, {"a.b": None}]}
        parsed = parse(StorageSave, {name: document})
        assert parsed.document is document

    def test_an_empty_document(self) -> None:
        assert parse(StorageSave, {"record": {}}).document == {}

    @pytest.mark.parametrize("document", [[], "x", 5, True])
    def test_only_an_object_is_a_document(self, document: JsonValue) -> None:
        assert refuse(StorageSave, {"task": document}) == [["task"]]

    @pytest.mark.parametrize("payload", [{}, {"task": None}, {"task": None, "record": None}])
    def test_a_document_is_required(self, payload: dict[str, JsonValue]) -> None:
        assert refuse(StorageSave, payload) == [["task"]]

    def test_both_names_at_once_are_refused(self) -> None:
        assert refuse(StorageSave, {"task": {}, "record": {}}) == [["record"]]

    def test_a_null_id_is_absent(self) -> None:
        assert parse(StorageSave, {"task": {"id": None}}).document == {"id": None}

    @pytest.mark.parametrize("version", [0, 1, MAX_INTEGER])
    def test_if_version(self, version: int) -> None:
        assert parse(StorageSave, {"task": {"id": 7}, "if_version": version}).if_version == version

    @pytest.mark.parametrize("version", [-1, 1.0, "1", True, MAX_INTEGER + 1])
    def test_other_versions_are_refused(self, version: JsonValue) -> None:
        assert refuse(StorageSave, {"task": {"id": 7}, "if_version": version}) == [["if_version"]]

    @pytest.mark.parametrize("document", [{}, {"id": None}])
    def test_without_an_id_only_version_0_can_match(self, document: dict[str, JsonValue]) -> None:
        assert parse(StorageSave, {"task": document, "if_version": 0}).if_version == 0
        assert refuse(StorageSave, {"task": document, "if_version": 1}) == [["if_version"]]

    @pytest.mark.parametrize("ttl", [1, 0.001, 3_155_760_000, 3_155_760_000.0])
    def test_ttl_seconds(self, ttl: float) -> None:
        assert parse(StorageSave, {**SAVE, "ttl_seconds": ttl}).ttl_seconds == ttl

    @pytest.mark.parametrize(
        "ttl", [0, -1, 0.0, -0.0, 3_155_760_001, 3_155_760_000.1, True, "60", float("nan")]
    )
    def test_other_ttls_are_refused(self, ttl: JsonValue) -> None:
        assert refuse(StorageSave, {**SAVE, "ttl_seconds": ttl}) == [["ttl_seconds"]]


class TestUpdateAndDelete:
    @pytest.mark.parametrize(
        "part",
        [
            {"changes": {}},
            {"changes": {"a": None}},
            {"increment": {"a.b": 1, "c": -0.5}},
            {"append": {"a": [], "b.c": [1, None]}},
            {"increment": {}},
            {"changes": None, "append": {}},
        ],
    )
    def test_one_part_is_enough(self, part: dict[str, JsonValue]) -> None:
        parsed = parse(StorageUpdate, {"record_id": 7, **part})
        assert parsed.model_dump(include=set(part)) == part

    @pytest.mark.parametrize("part", [{}, {"changes": None}, {"increment": None, "append": None}])
    def test_one_part_is_required(self, part: dict[str, JsonValue]) -> None:
        assert refuse(StorageUpdate, {"task_id": 7, **part}) == [[]]

    @pytest.mark.parametrize("record_id", [7, "7"])
    def test_an_equal_id_in_changes_is_tolerated(self, record_id: int | str) -> None:
        parse(StorageUpdate, {"task_id": record_id, "changes": {"id": record_id}})

    @pytest.mark.parametrize(
        ("record_id", "given"),
        [(7, 8), (7, "7"), ("7", 7), (7, None), (7, 7.0), (1, True), (1, 1.0), (7, []), (7, {})],
    )
    def test_another_id_in_changes_is_refused(self, record_id: JsonValue, given: JsonValue) -> None:
        payload: dict[str, JsonValue] = {"task_id": record_id, "changes": {"id": given}}
        assert refuse(StorageUpdate, payload) == [["changes", "id"]]

    @pytest.mark.parametrize("path", ["id", "id.x"])
    def test_no_part_reaches_the_id(self, path: str) -> None:
        assert refuse(StorageUpdate, {"task_id": 7, "increment": {path: 0}}) == [
            ["increment", path]
        ]
        assert refuse(StorageUpdate, {"task_id": 7, "append": {path: []}}) == [["append", path]]

    @pytest.mark.parametrize("number", [2**63 - 1, -(2**63), 0, -0.0, 1e308])
    def test_increments_are_numbers(self, number: float) -> None:
        parsed = parse(StorageUpdate, {"task_id": 7, "increment": {"n": number}})
        assert parsed.increment == {"n": number}
        assert type((parsed.increment or {})["n"]) is type(number)

    @pytest.mark.parametrize(
        "number", [2**63, -(2**63) - 1, True, "1", None, [], float("inf"), float("nan")]
    )
    def test_other_increments_are_refused(self, number: JsonValue) -> None:
        payload: dict[str, JsonValue] = {"task_id": 7, "increment": {"n": number}}
        assert refuse(StorageUpdate, payload) == [["increment", "n"]]

    @pytest.mark.parametrize("values", [1, "x", None, {}])
    def test_appended_values_are_an_array(self, values: JsonValue) -> None:
        payload: dict[str, JsonValue] = {"task_id": 7, "append": {"tags": values}}
        assert refuse(StorageUpdate, payload) == [["append", "tags"]]

    @pytest.mark.parametrize("name", ["changes", "increment", "append"])
    def test_each_part_is_an_object(self, name: str) -> None:
        assert refuse(StorageUpdate, {"task_id": 7, name: []}) == [[name]]

    @pytest.mark.parametrize("model", [StorageUpdate, StorageDelete])
    def test_version_0_never_matches_a_record(self, model: type[Payload]) -> None:
        part: dict[str, JsonValue] = {"changes": {}} if model is StorageUpdate else {}
        assert refuse(model, {**GET, **part, "if_version": 0}) == [["if_version"]]
        assert parse(model, {**GET, **part, "if_version": 1}).model_dump()["if_version"] == 1
