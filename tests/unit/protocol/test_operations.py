"""Operations of a batch (wire contract, section 10 "Batches of operations")."""

from unittest.mock import ANY

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
    parse_operation,
)

GET: dict[str, JsonValue] = {"action": "storage_get", "payload": {"task_id": 7}}
SAVE: dict[str, JsonValue] = {"action": "storage_save", "payload": {"task": {"a": 1}}}
BAD_GET: dict[str, JsonValue] = {"action": "storage_get", "payload": {"task_id": 0}}

NOT_IN_A_BATCH = ["storage_batch", "storage_index", "agent_ping", "storage_fly", "", "lock_get"]
NOT_IN_A_BATCH += ["storage_events", "agent_dead_letters"]


def batch(*operations: JsonValue, **fields: JsonValue) -> StorageBatch:
    return StorageBatch.model_validate({"operations": [*operations], **fields})


def parsed(made: StorageBatch) -> list[ParsedOperation | HoldfastError]:
    """Every operation, or what is wrong with it."""
    found: list[ParsedOperation | HoldfastError] = []
    for index in range(len(made.operations)):
        try:
            found.append(parse_operation(made, index))
        except HoldfastError as error:
            found.append(error)
    return found


def payload_of(item: ParsedOperation | HoldfastError) -> object:
    assert isinstance(item, ParsedOperation)
    return item.payload


def test_each_operation_is_typed() -> None:
    save, get = parsed(batch(SAVE, GET))
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
    payloads = [payload_of(item) for item in parsed(batch(GET, own, null, collection="c"))]
    assert [p.collection for p in payloads if isinstance(p, StorageGet)] == ["c", "own", "c"]


def test_the_message_is_not_changed() -> None:
    made = batch(GET, collection="c")
    parsed(made)
    assert GET == {"action": "storage_get", "payload": {"task_id": 7}}


def test_collections_may_be_asked_in_a_batch() -> None:
    (item,) = parsed(batch({"action": "storage_collections"}, collection="c"))
    assert isinstance(payload_of(item), StorageCollections)


@pytest.mark.parametrize("action", NOT_IN_A_BATCH)
def test_what_cannot_stand_in_an_atomic_batch(action: str) -> None:
    (bad,) = parsed(batch({"action": action}))
    assert isinstance(bad, ValidationError)
    assert bad.details["errors"] == [{"loc": ["action"], "msg": ANY}]


class TestNotAtomic:
    def test_each_operation_has_its_own_outcome(self) -> None:
        save, bad, get = parsed(batch(SAVE, BAD_GET, GET, atomic=False))
        assert isinstance(save, ParsedOperation)
        assert isinstance(bad, ValidationError)
        assert isinstance(get, ParsedOperation)

    @pytest.mark.parametrize("action", NOT_IN_A_BATCH)
    def test_what_cannot_stand_in_a_batch(self, action: str) -> None:
        bad, get = parsed(batch({"action": action}, GET, atomic=False))
        assert isinstance(bad, ValidationError)
        assert isinstance(get, ParsedOperation)


def test_a_long_unknown_name_is_not_repeated_whole() -> None:
    (bad,) = parsed(batch({"action": "x" * 10_000}, atomic=False))
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
