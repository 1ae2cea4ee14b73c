"""The payloads that ask for events, and those of the dead letters (wire contract, section 6)."""

import pytest
from pydantic import JsonValue

from holdfast_protocol.actions import (
    AgentDeadLetter,
    AgentDeadLetters,
    AgentDeadLettersPurge,
    AgentDeadLettersReplay,
    DeadLetterDetail,
    Payload,
    StorageEvents,
    StoragePositions,
)
from tests.unit.protocol.payload_checks import parse, refuse

CHOOSING: list[type[Payload]] = [AgentDeadLettersReplay, AgentDeadLettersPurge]
BAD_LIMITS: list[JsonValue] = [0, -1, 1_001, 1.0, "1", True]


class TestEvents:
    def test_by_default_the_first_hundred_of_the_tasks(self) -> None:
        for payload in ({}, {"collection": None, "after": None, "limit": None}):
            asked = parse(StorageEvents, dict(payload))
            assert (asked.collection, asked.after, asked.limit) == ("tasks", 0, 100)

    @pytest.mark.parametrize("after", [-1, 2**63, 1.0, "1", True])
    def test_after_is_a_sequence(self, after: JsonValue) -> None:
        assert parse(StorageEvents, {"after": 2**63 - 1}).after == 2**63 - 1
        assert refuse(StorageEvents, {"after": after}) == [["after"]]

    @pytest.mark.parametrize("limit", BAD_LIMITS)
    def test_a_page_holds_1_to_1000(self, limit: JsonValue) -> None:
        assert parse(StorageEvents, {"limit": 1_000}).limit == 1_000
        assert refuse(StorageEvents, {"limit": limit}) == [["limit"]]

    @pytest.mark.parametrize("collection", ["$locks", "", "A", 1])
    def test_only_collections_of_records_have_events(self, collection: JsonValue) -> None:
        assert refuse(StorageEvents, {"collection": collection}) == [["collection"]]

    def test_positions_take_nothing(self) -> None:
        parse(StoragePositions, {})
        assert refuse(StoragePositions, {"collection": "tasks"}) == [["collection"]]


class TestDeadLetters:
    def test_by_default_the_first_hundred_of_all(self) -> None:
        asked = parse(AgentDeadLetters, {})
        assert (asked.limit, asked.filters) == (100, False)

    @pytest.mark.parametrize("model", [AgentDeadLetters, *CHOOSING])
    @pytest.mark.parametrize(
        "part",
        [
            {"reason": "expired"},
            {"action": "storage_save"},
            {"agent": "storage"},
            {"older_than_seconds": 0},
            {"newer_than_seconds": 0.5},
        ],
    )
    def test_filters(self, model: type[Payload], part: dict[str, JsonValue]) -> None:
        asked = parse(model, part)
        assert asked.model_dump(include=set(part)) == part
        assert getattr(asked, "filters", None) is True

    @pytest.mark.parametrize("model", [AgentDeadLetters, *CHOOSING])
    @pytest.mark.parametrize(
        "part",
        [
            {"reason": 1},
            {"action": ["a"]},
            {"agent": "a\0"},
            {"older_than_seconds": -1},
            {"newer_than_seconds": float("nan")},
            {"newer_than_seconds": "1"},
            {"older_than_seconds": 1e12},
        ],
    )
    def test_other_filters_are_refused(
        self, model: type[Payload], part: dict[str, JsonValue]
    ) -> None:
        assert refuse(model, part) == [[name] for name in part]

    @pytest.mark.parametrize("limit", BAD_LIMITS)
    def test_a_list_holds_1_to_1000(self, limit: JsonValue) -> None:
        assert refuse(AgentDeadLetters, {"limit": limit}) == [["limit"]]

    @pytest.mark.parametrize("letter_id", ["", "x" * 256, 1, None, "a\0"])
    def test_one_has_an_id(self, letter_id: JsonValue) -> None:
        assert parse(AgentDeadLetter, {"id": "x" * 255}).id == "x" * 255
        assert refuse(AgentDeadLetter, {"id": letter_id}) == [["id"]]

    @pytest.mark.parametrize("model", CHOOSING)
    @pytest.mark.parametrize(
        "payload", [{"ids": ["a"]}, {"reason": "x"}, {"all": True}, {"older_than_seconds": 0}]
    )
    def test_what_to_act_on_is_said(
        self, model: type[Payload], payload: dict[str, JsonValue]
    ) -> None:
        assert parse(model, payload).model_dump()["dry_run"] is False

    @pytest.mark.parametrize("model", CHOOSING)
    @pytest.mark.parametrize(
        "payload", [{}, {"all": False}, {"dry_run": True}, {"limit": 5}, {"ids": None}]
    )
    def test_all_is_never_meant_silently(
        self, model: type[Payload], payload: dict[str, JsonValue]
    ) -> None:
        assert refuse(model, payload) == [[]]

    @pytest.mark.parametrize("model", CHOOSING)
    @pytest.mark.parametrize("ids", [[], ["x"] * 1_001, "a", {}])
    def test_so_many_ids(self, model: type[Payload], ids: JsonValue) -> None:
        many: list[JsonValue] = ["x"] * 1_000
        assert parse(model, {"ids": many}).model_dump()["ids"] == many
        assert refuse(model, {"ids": ids}) == [["ids"]]

    @pytest.mark.parametrize("model", CHOOSING)
    def test_a_bad_id_is_named(self, model: type[Payload]) -> None:
        assert refuse(model, {"ids": ["a", 1, ""]}) == [["ids", 1]]

    @pytest.mark.parametrize("model", CHOOSING)
    @pytest.mark.parametrize("limit", [0, -1, 1.0, True])
    def test_at_least_one_may_be_acted_on(self, model: type[Payload], limit: JsonValue) -> None:
        assert parse(model, {"all": True, "limit": 5_000}).model_dump()["limit"] == 5_000
        assert refuse(model, {"all": True, "limit": limit}) == [["limit"]]

    def test_a_letter_is_read_from_its_answer(self) -> None:
        letter = DeadLetterDetail.model_validate(
            {
                "id": "1",
                "reason": "expired",
                "agent": "storage",
                "error": "",
                "action": None,
                "routing_key": "storage.x",
                "attempts": 1,
                "at": "2026-01-02T03:04:05Z",
                "bytes": 12,
                "message": [1, {"a": None}],
            }
        )
        assert (letter.message, letter.text, letter.sender) == ([1, {"a": None}], None, None)
        assert letter.at is not None
