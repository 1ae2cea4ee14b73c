"""Operations of a batch (wire contract, section 10 "Batches of operations")."""

import pytest
from pydantic import JsonValue

from holdfast_protocol import HoldfastError, ValidationError
from holdfast_protocol.actions import (
    BATCH_ACTIONS,
    ParsedOperation,
    StorageBatch,
    StorageCollections,
    StorageGet,
    StorageSave,
    batch_writes,
    parse_operations,
)

GET: dict[str, JsonValue] = {"action": "storage_get", "payload": {"task_id": 7}}
SAVE: dict[str, JsonValue] = {"action": "storage_save", "payload": {"task": {"a": 1}}}
BAD_GET: dict[str, JsonValue] = {"action": "storage_get", "payload": {"task_id": 0}}

NOT_IN_A_BATCH = ["storage_batch", "storage_index", "agent_ping", "storage_fly", ""]


def batch(*operations: JsonValue, **fields: JsonValue) -> StorageBatch:
    return StorageBatch.model_validate({"operations": [*operations], **fields})


def payload_of(item: ParsedOperation | HoldfastError) -> object:
    assert isinstance(item, ParsedOperation)
    return item.payload


def test_each_operation_is_typed() -> None:
    save, get = parse_operations(batch(SAVE, GET))
    assert isinstance(payload_of(save), StorageSave)
    assert isinstance(payload_of(get), StorageGet)
    assert isinstance(save, ParsedOperation)
    assert save.spec.name == "storage_save"


def test_the_batch_names_the_default_collection() -> None:
    own: dict[str, JsonValue] = {
        "action": "storage_get",
        "payload": {"task_id": 7, "collection": "own"},
    }
    null: dict[str, JsonValue] = {
        "action": "storage_get",
        "payload": {"task_id": 7, "collection": None},
    }
    parsed = [payload_of(item) for item in parse_operations(batch(GET, own, null, collection="c"))]
    assert [p.collection for p in parsed if isinstance(p, StorageGet)] == ["c", "own", "c"]


def test_the_message_is_not_changed() -> None:
    made = batch(GET, collection="c")
    parse_operations(made)
    assert GET == {"action": "storage_get", "payload": {"task_id": 7}}


def test_collections_may_be_asked_in_a_batch() -> None:
    (item,) = parse_operations(batch({"action": "storage_collections"}, collection="c"))
    assert isinstance(payload_of(item), StorageCollections)


class TestAtomic:
    def test_the_first_bad_payload_is_the_error_of_the_whole(self) -> None:
        with pytest.raises(ValidationError) as caught:
            parse_operations(batch(SAVE, BAD_GET, {"action": "storage_fly"}))
        assert caught.value.details["index"] == 1
        errors = caught.value.details["errors"]
        assert isinstance(errors, list)
        assert isinstance(errors[0], dict)
        assert errors[0]["loc"] == ["operations", 1, "payload", "task_id"]

    @pytest.mark.parametrize("action", NOT_IN_A_BATCH)
    def test_what_cannot_stand_in_a_batch(self, action: str) -> None:
        with pytest.raises(ValidationError) as caught:
            parse_operations(batch(SAVE, {"action": action}))
        assert caught.value.details["index"] == 1
        errors = caught.value.details["errors"]
        assert isinstance(errors, list)
        assert isinstance(errors[0], dict)
        assert errors[0]["loc"] == ["operations", 1, "action"]


class TestNotAtomic:
    def test_each_operation_has_its_own_outcome(self) -> None:
        save, bad, get = parse_operations(batch(SAVE, BAD_GET, GET, atomic=False))
        assert isinstance(save, ParsedOperation)
        assert isinstance(bad, ValidationError)
        assert isinstance(get, ParsedOperation)

    @pytest.mark.parametrize("action", NOT_IN_A_BATCH)
    def test_what_cannot_stand_in_a_batch(self, action: str) -> None:
        bad, get = parse_operations(batch({"action": action}, GET, atomic=False))
        assert isinstance(bad, ValidationError)
        assert isinstance(get, ParsedOperation)


def test_a_long_unknown_name_is_not_repeated_whole() -> None:
    (bad,) = parse_operations(batch({"action": "x" * 10_000}, atomic=False))
    assert isinstance(bad, ValidationError)
    assert len(bad.message) < 100


def test_a_batch_of_reads_does_not_write() -> None:
    assert not batch_writes(batch(GET, {"action": "storage_list"}, {"action": "storage_batch"}))
    assert batch_writes(batch(GET, SAVE))


def test_the_actions_of_a_batch() -> None:
    assert sorted(BATCH_ACTIONS) == [
        "storage_collections",
        "storage_count",
        "storage_delete",
        "storage_get",
        "storage_list",
        "storage_query",
        "storage_save",
        "storage_update",
    ]
