"""The payloads of reads, indexes and batches (wire contract, sections 6 and 10)."""

import pytest
from pydantic import JsonValue

from holdfast_protocol import TooLargeError
from holdfast_protocol.actions import (
    StorageBatch,
    StorageCollections,
    StorageCount,
    StorageIndex,
    StorageList,
    StorageQuery,
    StorageUpdate,
)
from tests.unit.protocol.payload_checks import parse, refuse

OPERATIONS: dict[str, JsonValue] = {
    "operations": [{"action": "storage_get", "payload": {"task_id": 7}}]
}

PATHS = ["a", "a.b", "owner.name", "a b", "ä.😀", "a$", "0"]
NO_PATHS = ["", ".", "a.", ".a", "a..b", "$a", "a.$b", "a\0b", 5, None, True]


class TestListQueryCount:
    @pytest.mark.parametrize("limit", [1, 10_000, None])
    def test_limit(self, limit: int | None) -> None:
        assert parse(StorageList, {"limit": limit}).limit == limit

    @pytest.mark.parametrize("limit", [0, -1, 10_001, 1.0, "1", True])
    def test_other_limits_are_refused(self, limit: JsonValue) -> None:
        assert refuse(StorageQuery, {"limit": limit}) == [["limit"]]

    @pytest.mark.parametrize("flag", [0, 1, "true", []])
    def test_with_meta_is_a_boolean(self, flag: JsonValue) -> None:
        assert parse(StorageList, {"with_meta": True}).with_meta is True
        assert parse(StorageList, {"with_meta": None}).with_meta is False
        assert refuse(StorageList, {"with_meta": flag}) == [["with_meta"]]

    def test_a_cursor_is_a_text(self) -> None:
        assert parse(StorageList, {"cursor": "abc"}).cursor == "abc"
        assert refuse(StorageList, {"cursor": 5}) == [["cursor"]]

    @pytest.mark.parametrize("model", [StorageQuery, StorageCount])
    def test_filters_are_kept_as_they_came(self, model: type[StorageQuery | StorageCount]) -> None:
        filters: dict[str, JsonValue] = {"$nonsense": {"$gt": []}, "a..b": 1}
        assert parse(model, {"filters": filters}).filters is filters
        assert parse(model, {"filters": None}).filters == {}
        assert parse(model, {}).filters == {}

    @pytest.mark.parametrize("filters", [[], "x", 1])
    def test_filters_are_an_object(self, filters: JsonValue) -> None:
        assert refuse(StorageCount, {"filters": filters}) == [["filters"]]

    @pytest.mark.parametrize("path", PATHS)
    def test_paths(self, path: str) -> None:
        parsed = parse(StorageQuery, {"sort": [[path, "desc"], ["id", "asc"]], "fields": [path]})
        assert parsed.sort == [(path, "desc"), ("id", "asc")]
        assert parsed.fields_ == [path]
        parse(StorageUpdate, {"task_id": 7, "increment": {path: 1}, "append": {path: []}})

    @pytest.mark.parametrize("path", NO_PATHS)
    def test_what_is_no_path(self, path: JsonValue) -> None:
        assert refuse(StorageQuery, {"sort": [[path, "asc"]]}) == [["sort", 0, 0]]
        assert refuse(StorageQuery, {"fields": ["a", path]}) == [["fields", 1]]
        assert refuse(StorageIndex, {"paths": [path]}) == [["paths", 0]]
        if isinstance(path, str):
            place = path.replace("\0", "\ufffd")
            assert refuse(StorageUpdate, {"task_id": 7, "increment": {path: 1}}) == [
                ["increment", place]
            ]
            assert refuse(StorageUpdate, {"task_id": 7, "append": {path: []}}) == [
                ["append", place]
            ]

    @pytest.mark.parametrize("key", [["a"], ["a", "up"], ["a", "asc", 1], "a", {"a": "asc"}, 5])
    def test_a_sort_key_is_a_pair(self, key: JsonValue) -> None:
        places = refuse(StorageQuery, {"sort": [key]})
        assert all(isinstance(place, list) and place[:2] == ["sort", 0] for place in places)

    def test_no_fields_is_a_list_of_none(self) -> None:
        assert parse(StorageQuery, {"fields": []}).fields_ == []
        assert parse(StorageQuery, {}).fields_ is None


class TestIndexAndCollections:
    def test_without_paths_it_only_asks(self) -> None:
        assert parse(StorageIndex, {}).paths is None
        assert parse(StorageIndex, {"paths": []}).paths == []

    def test_at_most_sixteen_paths(self) -> None:
        paths: list[JsonValue] = [f"p{n}" for n in range(17)]
        assert parse(StorageIndex, {"paths": paths[:16]}).paths == paths[:16]
        assert refuse(StorageIndex, {"paths": paths}) == [["paths"]]

    def test_collections_takes_nothing_else(self) -> None:
        assert parse(StorageCollections, {}).collection == "tasks"
        assert refuse(StorageCollections, {"filters": {}}) == [["filters"]]


class TestBatch:
    def test_it_is_atomic_unless_told(self) -> None:
        assert parse(StorageBatch, OPERATIONS).atomic is True
        assert parse(StorageBatch, {**OPERATIONS, "atomic": None}).atomic is True
        assert parse(StorageBatch, {**OPERATIONS, "atomic": False}).atomic is False

    def test_an_operation_needs_an_action_only(self) -> None:
        parsed = parse(StorageBatch, {"operations": [{"action": "storage_list"}]})
        assert parsed.operations[0].payload == {}

    @pytest.mark.parametrize("count", [1, 1000])
    def test_1_to_1000_operations(self, count: int) -> None:
        operations: list[JsonValue] = [{"action": "storage_list"}] * count
        assert len(parse(StorageBatch, {"operations": operations}).operations) == count

    def test_none_is_a_validation_error(self) -> None:
        assert refuse(StorageBatch, {"operations": []}) == [["operations"]]
        assert refuse(StorageBatch, {"operations": None}) == [["operations"]]
        assert refuse(StorageBatch, {}) == [["operations"]]

    def test_more_are_too_large(self) -> None:
        operations: list[JsonValue] = [{"action": "storage_list"}] * 1001
        with pytest.raises(TooLargeError, match="at most 1000 operations"):
            parse(StorageBatch, {"operations": operations})

    @pytest.mark.parametrize(
        ("operation", "place"),
        [
            (5, []),
            (None, []),
            ({}, ["action"]),
            ({"action": 5}, ["action"]),
            ({"action": "storage_get", "payload": []}, ["payload"]),
            ({"action": "storage_get", "surprise": 1}, ["surprise"]),
        ],
    )
    def test_the_form_of_an_operation(self, operation: JsonValue, place: list[JsonValue]) -> None:
        payload: dict[str, JsonValue] = {"operations": [{"action": "storage_list"}, operation]}
        assert refuse(StorageBatch, payload) == [["operations", 1, *place]]


class TestHostilePayloads:
    """However many faults a payload has, few of them are reported."""

    @pytest.mark.parametrize(
        "payload",
        [
            {"fields": [1] * 100_000},
            {"sort": [1] * 100_000},
            {f"unknown{n}": 1 for n in range(100_000)},
        ],
        ids=["fields", "sort", "unknown"],
    )
    def test_of_a_query(self, payload: dict[str, JsonValue]) -> None:
        assert 1 <= len(refuse(StorageQuery, payload)) <= 20

    def test_of_an_update(self) -> None:
        increment: dict[str, JsonValue] = {f"path{n}": "x" for n in range(100_000)}
        assert len(refuse(StorageUpdate, {"task_id": 7, "increment": increment})) == 1

    def test_of_an_operation(self) -> None:
        operation: dict[str, JsonValue] = {f"unknown{n}": 1 for n in range(100_000)}
        assert refuse(StorageBatch, {"operations": [operation]}) == [["operations", 0]]
