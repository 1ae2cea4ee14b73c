"""Comparing responses: equal in value and type, except what no two runs have in common."""

import json

import pytest
from pydantic import JsonValue

from holdfast_agents.replay.comparing import Comparison
from holdfast_protocol.messages import AgentResponse

Json = dict[str, JsonValue]


def paths(
    expected: Json, got: Json, *, action: str = "storage_get", ignore: tuple[str, ...] = ()
) -> list[str]:
    """Where two successes differ that have these fields."""
    one = AgentResponse.model_validate({"status": "success", **expected})
    other = AgentResponse.model_validate({"status": "success", **got})
    found = Comparison(ignore).differences(action, one, other)
    return [difference.path for difference in found]


def test_equal_answers_have_no_difference_whatever_their_own_id_and_time() -> None:
    assert paths({"result": {"a": [1, {"b": None}]}}, {"result": {"a": [1, {"b": None}]}}) == []


@pytest.mark.parametrize(
    ("expected", "got"),
    [(1, 1.0), (1, True), (0, False), (0.0, -0.0), ("1", 1), (None, False), ([], {}), ("é", "e")],
)
def test_values_of_another_type_differ(expected: JsonValue, got: JsonValue) -> None:
    assert paths({"result": {"x": expected}}, {"result": {"x": got}}) == ["result.x"]


@pytest.mark.parametrize("value", [0, 0.0, False, "", None, 2**53, 1e22, -0.0, {}, [], [{}]])
def test_a_value_equals_itself(value: JsonValue) -> None:
    assert paths({"result": {"x": value}}, {"result": {"x": json.loads(json.dumps(value))}}) == []


def test_key_order_does_not_matter() -> None:
    assert paths({"result": {"a": 1, "b": 2}}, {"result": {"b": 2, "a": 1}}) == []


def test_each_differing_place_is_named() -> None:
    found = paths(
        {"result": {"kept": 1, "lost": 2, "list": [1, 2]}},
        {"result": {"kept": 1, "more": 3, "list": [1, 3]}},
    )
    assert found == ["result.lost", "result.list.1", "result.more"]


def test_lists_of_another_length_differ_as_a_whole() -> None:
    assert paths({"result": [1, 2]}, {"result": [1]}) == ["result"]


def test_what_one_side_lacks_is_shown_as_nothing() -> None:
    one = AgentResponse(status="success", result={"a": None})
    other = AgentResponse(status="success", result={})
    (found,) = Comparison().differences("storage_get", one, other)
    assert (found.expected, found.got) == ("null", "nothing")


def test_long_values_are_shown_cut() -> None:
    one = AgentResponse(status="success", result="x" * 5000)
    (found,) = Comparison().differences("storage_get", one, AgentResponse(status="success"))
    assert len(found.expected) < 200
    assert "5002 chars" in found.expected


def test_moments_of_records_are_not_compared_but_those_in_documents_are() -> None:
    assert paths({"meta": {"created_at": "a", "version": 1}}, {"meta": {"version": 1}}) == []
    page: Json = {"meta": {"next_cursor": None, "records": [{"id": 1, "updated_at": "a"}]}}
    other: Json = {"meta": {"next_cursor": None, "records": [{"id": 1, "updated_at": "b"}]}}
    assert paths(page, other) == []
    assert paths({"result": {"created_at": "a"}}, {"result": {"created_at": "b"}}) == [
        "result.created_at"
    ]


def test_moments_in_the_outcomes_of_a_batch_are_not_compared() -> None:
    one: Json = {"result": [{"status": "success", "result": 1, "meta": {"updated_at": "a"}}]}
    other: Json = {"result": [{"status": "success", "result": 1, "meta": {"updated_at": "b"}}]}
    assert paths(one, other, action="storage_batch") == []
    assert paths(one, other, action="storage_get") == ["result.0.meta.updated_at"]


@pytest.mark.parametrize(
    ("action", "expected", "got"),
    [
        ("agent_ping", {"agent": "storage", "timestamp": "a"}, {"agent": "storage"}),
        ("agent_stats", {"uptime_seconds": 1}, {"uptime_seconds": 2}),
        ("storage_index", {"paths": [], "ready": False}, {"paths": [], "ready": True}),
    ],
)
def test_what_a_process_tells_of_itself_is_not_compared(
    action: str, expected: JsonValue, got: JsonValue
) -> None:
    assert paths({"result": expected}, {"result": got}, action=action) == []


def test_ignored_paths_with_and_without_a_star() -> None:
    one: Json = {"result": [{"id": 1, "n": 1}, {"id": 2, "n": 2}], "meta": {"version": 3}}
    other: Json = {"result": [{"id": 1, "n": 5}, {"id": 9, "n": 6}], "meta": {"version": 4}}
    assert paths(one, other, ignore=("result.*.n", "meta.version")) == ["result.1.id"]
    assert paths(one, other, ignore=("result.1", "result.*.n", "meta")) == []
    assert paths(one, other, ignore=("result", "meta")) == []


def test_a_star_holds_for_named_neighbours_too() -> None:
    one: Json = {"result": {"a": {"x": 1, "y": 1}, "b": {"x": 1}}}
    other: Json = {"result": {"a": {"x": 2, "y": 2}, "b": {"x": 2}}}
    assert paths(one, other, ignore=("result.a.y", "result.*.x")) == []


@pytest.mark.parametrize("path", ["", ".", "meta.", "a..b"])
def test_a_path_without_segments_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="no path"):
        Comparison([path])


def test_errors_are_compared_but_not_the_reference_of_a_defect() -> None:
    one = AgentResponse(
        status="error", error="no", error_type="internal_error", details={"reference": "a"}
    )
    other = AgentResponse(
        status="error", error="no", error_type="not_found", details={"reference": "b"}
    )
    (found,) = Comparison().differences("storage_get", one, other)
    assert found.path == "error_type"


def test_numbers_of_changes_and_how_long_to_wait_are_not_compared() -> None:
    one: Json = {"meta": {"sequence": 1}, "details": {"retry_after_seconds": 1.5}}
    other: Json = {"meta": {"sequence": 9, "cancel": "too_late"}}
    assert paths(one, other) == []


@pytest.mark.parametrize(
    ("action", "value"),
    [
        ("lock_acquire", {"name": "a", "token": 1, "acquired_at": "x", "expires_at": "y"}),
        ("storage_events", [{"id": "a/1", "sequence": 1, "timestamp": "x"}]),
        ("storage_positions", [{"collection": "a", "sequence": 1}]),
    ],
)
def test_moments_of_leases_and_events_are_not_compared(action: str, value: JsonValue) -> None:
    text = json.dumps(value).replace('"x"', '"later"').replace('"sequence": 1', '"sequence": 2')
    changed = json.loads(text.replace("a/1", "a/2"))
    assert paths({"result": value}, {"result": changed}, action=action) == []
    named = json.loads(json.dumps(value).replace('"a"', '"b"').replace('"timestamp"', '"kind"'))
    assert paths({"result": value}, {"result": named}, action=action) != []


def test_whether_an_answer_was_repeated_is_not_compared_where_the_log_lacks_the_first() -> None:
    one = AgentResponse(status="success")
    other = AgentResponse(status="success", meta={"replayed": True})
    assert Comparison().differences("storage_save", one, other, first_told=True) == []
    (found,) = Comparison().differences("storage_save", one, other)
    assert found.path == "meta.replayed"


def test_integers_beyond_64_bits_of_an_edited_log_are_compared() -> None:
    assert paths({"result": {"n": 2**70}}, {"result": {"n": 2**70 + 1}}) == ["result.n"]
