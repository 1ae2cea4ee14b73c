"""The table of actions (wire contract, section 6)."""

import json

import pytest
from pydantic import TypeAdapter

from holdfast_protocol.actions import (
    ACTIONS,
    COMMON_ACTIONS,
    DEAD_LETTER_ACTIONS,
    EVENT_ACTIONS,
    LOCK_ACTIONS,
    STORAGE_ACTIONS,
    CollectionCount,
    IndexState,
    OperationOutcome,
)

WRITES = {
    "storage_save",
    "storage_update",
    "storage_delete",
    "storage_batch",
    "lock_acquire",
    "lock_renew",
    "lock_release",
}


def test_every_action_of_the_contract_is_there() -> None:
    assert sorted(STORAGE_ACTIONS) == [
        "storage_batch",
        "storage_collections",
        "storage_count",
        "storage_delete",
        "storage_get",
        "storage_index",
        "storage_list",
        "storage_query",
        "storage_save",
        "storage_update",
    ]
    assert sorted(COMMON_ACTIONS) == ["agent_describe", "agent_ping", "agent_stats"]
    assert sorted(EVENT_ACTIONS) == ["storage_events", "storage_positions"]
    assert sorted(LOCK_ACTIONS) == ["lock_acquire", "lock_get", "lock_release", "lock_renew"]
    assert sorted(DEAD_LETTER_ACTIONS) == [
        "agent_dead_letter",
        "agent_dead_letters",
        "agent_dead_letters_purge",
        "agent_dead_letters_replay",
    ]
    tables = [COMMON_ACTIONS, DEAD_LETTER_ACTIONS, STORAGE_ACTIONS, EVENT_ACTIONS, LOCK_ACTIONS]
    assert dict(ACTIONS) == {name: spec for table in tables for name, spec in table.items()}
    assert len(ACTIONS) == sum(len(table) for table in tables)


def test_each_stands_under_its_own_name() -> None:
    assert all(spec.name == name for name, spec in ACTIONS.items())


def test_the_table_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        ACTIONS["x"] = ACTIONS["agent_ping"]  # type: ignore[index]


def test_writes_are_what_has_an_identity() -> None:
    assert {name for name, spec in ACTIONS.items() if spec.writes} == WRITES


@pytest.mark.parametrize("action", ACTIONS)
def test_payload_and_result_have_json_schemas(action: str) -> None:
    spec = ACTIONS[action]
    payload, result = json.dumps(spec.payload_schema()), json.dumps(spec.result_schema())
    assert '"additionalProperties": false' in payload
    assert "\\u0000value" not in payload + result
    assert spec.summary


def test_schemas_name_the_fields_as_they_travel() -> None:
    query = STORAGE_ACTIONS["storage_query"].payload_schema()["properties"]
    get = STORAGE_ACTIONS["storage_get"].payload_schema()["properties"]
    assert isinstance(query, dict)
    assert isinstance(get, dict)
    assert {"filters", "sort", "fields", "limit", "cursor", "with_meta"} <= query.keys()
    assert {"task_id", "record_id", "collection"} == get.keys()


def test_results_read_what_an_agent_answers() -> None:
    counts = TypeAdapter(list[CollectionCount])
    assert counts.validate_python([{"collection": "tasks", "count": 3}])[0].count == 3
    outcome = OperationOutcome.model_validate({"status": "success", "result": {"id": 7}})
    assert outcome.result == {"id": 7}
    assert IndexState.model_validate({"paths": ["a"], "ready": True, "later": 1}).paths == ["a"]
