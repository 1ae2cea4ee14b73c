"""The envelopes (wire contract, sections 2 and 3)."""

from datetime import UTC, datetime
from uuid import UUID

import pydantic
import pytest
from pydantic import JsonValue

from holdfast_protocol import AgentMessage, AgentResponse, ConflictError, HoldfastError


def message(**fields: object) -> AgentMessage:
    return AgentMessage.model_validate({"action": "storage_get", **fields})


class TestAgentMessage:
    def test_only_the_action_is_required(self) -> None:
        made = AgentMessage(action="storage_list")
        assert made.payload == {}
        assert made.metadata == {}
        assert UUID(made.id).version == 7
        assert (made.sender, made.recipient, made.correlation_id, made.deadline) == (None,) * 4

    def test_every_message_has_its_own_id_and_payload(self) -> None:
        first, second = AgentMessage(action="a"), AgentMessage(action="a")
        assert first.id != second.id
        assert first.payload is not second.payload

    def test_it_is_frozen(self) -> None:
        with pytest.raises(pydantic.ValidationError):
            message().action = "storage_delete"  # type: ignore[misc]

    def test_the_payload_is_taken_as_it_is(self) -> None:
        payload: dict[str, JsonValue] = {"task": {"title": "Write", "n": 1.0}}
        assert AgentMessage(action="storage_save", payload=payload).payload is payload

    @pytest.mark.parametrize(
        "name",
        [
            "payload",
            "id",
            "sender",
            "recipient",
            "correlation_id",
            "causation_id",
            "timestamp",
            "deadline",
            "metadata",
            "schema_version",
        ],
    )
    def test_null_means_absent(self, name: str) -> None:
        made, plain = message(**{name: None}), message()
        assert made.model_dump(exclude={"id"}) == plain.model_dump(exclude={"id"})
        assert UUID(made.id).version == 7

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("action", None),
            ("action", ""),
            ("action", "Storage"),
            ("action", "1a"),
            ("action", "a-b"),
            ("action", "a\n"),
            ("action", "a" * 65),
            ("action", 5),
            ("payload", []),
            ("payload", "x"),
            ("id", ""),
            ("id", "x" * 129),
            ("id", 7),
            ("id", "a\0b"),
            ("id", "\ud800"),
            ("sender", ""),
            ("sender", "x" * 129),
            ("recipient", 5),
            ("recipient", "a\0"),
            ("correlation_id", ""),
            ("causation_id", 1),
            ("timestamp", 5),
            ("timestamp", "yesterday"),
            ("timestamp", datetime(2026, 1, 2)),  # noqa: DTZ001 - naive on purpose
            ("deadline", "2026-01-02T03:04:60Z"),
            ("metadata", []),
            ("schema_version", "2"),
            ("schema_version", 1),
            ("surprise", 1),
            ("surprise", None),
        ],
    )
    def test_a_wrong_field_is_refused(self, name: str, value: object) -> None:
        with pytest.raises(pydantic.ValidationError) as caught:
            message(**{name: value})
        assert caught.value.errors()[0]["loc"][0] == name

    def test_lengths_are_in_code_points(self) -> None:
        assert message(id="😀" * 128).id == "😀" * 128

    def test_times_are_aware(self) -> None:
        made = message(deadline="2026-01-02T03:04:05Z", timestamp=datetime(2026, 1, 2, tzinfo=UTC))
        assert made.deadline == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
        assert made.timestamp == datetime(2026, 1, 2, tzinfo=UTC)


class TestAgentResponse:
    def test_a_status_and_a_result_are_enough(self) -> None:
        made = AgentResponse(status="success", result={"id": 7})
        assert made.ok
        assert made.meta == {}
        assert UUID(made.id).version == 7
        assert made.timestamp.utcoffset() is not None

    def test_success_raises_nothing(self) -> None:
        AgentResponse(status="success").raise_for_error()

    def test_an_error_raises_the_class_of_its_type(self) -> None:
        made = AgentResponse(
            status="error",
            error="Task 7 is at version 3",
            error_type="conflict",
            details={"current_version": 3},
        )
        assert not made.ok
        with pytest.raises(ConflictError, match="at version 3") as caught:
            made.raise_for_error()
        assert caught.value.details == {"current_version": 3}

    def test_an_error_of_a_later_agent_raises_the_base_class(self) -> None:
        made = AgentResponse(status="error", error="No", error_type="not_yet_invented")
        with pytest.raises(HoldfastError, match="No"):
            made.raise_for_error()

    def test_an_error_without_a_type_or_text_still_raises(self) -> None:
        with pytest.raises(HoldfastError, match=r"answered with an error"):
            AgentResponse(status="error").raise_for_error()

    @pytest.mark.parametrize(
        "fields",
        [
            {},
            {"status": "done"},
            {"status": "success", "surprise": 1},
            {"status": "success", "meta": []},
            {"status": "success", "details": "x"},
            {"status": "error", "error": 5},
            {"status": "success", "timestamp": "now"},
        ],
    )
    def test_constructing_is_strict(self, fields: dict[str, object]) -> None:
        with pytest.raises(pydantic.ValidationError):
            AgentResponse.model_validate(fields)


@pytest.mark.parametrize("model", [AgentMessage, AgentResponse])
def test_envelopes_have_a_json_schema(model: type[pydantic.BaseModel]) -> None:
    assert model.model_json_schema()["type"] == "object"
