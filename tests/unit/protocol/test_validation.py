"""Errors in words of ours: no input values, no library text, bounded."""

from typing import Literal

import orjson
import pydantic
import pytest
from pydantic import BaseModel, JsonValue

from holdfast_protocol import AgentMessage
from holdfast_protocol.validation import describe, problem, validation_details

SECRET = "do-not-repeat-me"


def details_of(
    fields: dict[str, object], model: type[BaseModel] = AgentMessage
) -> dict[str, JsonValue]:
    with pytest.raises(pydantic.ValidationError) as caught:
        model.model_validate(fields)
    return validation_details(caught.value)


def test_the_form() -> None:
    assert details_of({"action": "a", "id": 5, "surprise": 1}) == {
        "errors": [
            {"loc": ["id"], "msg": "must be a string of 1 to 128 characters"},
            {"loc": ["surprise"], "msg": "is not a known field"},
        ]
    }


def test_a_missing_field_is_required() -> None:
    assert details_of({}) == {"errors": [{"loc": ["action"], "msg": "is required"}]}


def test_a_prefix_goes_before_every_place() -> None:
    with pytest.raises(pydantic.ValidationError) as caught:
        AgentMessage.model_validate({})
    assert validation_details(caught.value, ("message", 3)) == problem(
        ("message", 3, "action"), "is required"
    )


def test_no_input_value_is_repeated() -> None:
    fields: dict[str, object] = {name: [SECRET] for name in AgentMessage.model_fields}
    assert SECRET.encode() not in orjson.dumps(details_of(fields))


def test_no_library_text_or_address() -> None:
    fields: dict[str, object] = dict.fromkeys(AgentMessage.model_fields, object())
    text = orjson.dumps(details_of(fields)).decode()
    assert "pydantic" not in text
    assert "Input should" not in text


def test_an_unforeseen_error_is_still_described() -> None:
    class Odd(BaseModel):
        kind: Literal["a"]

    assert details_of({"kind": SECRET}, Odd) == problem(("kind",), "is not valid")


def test_at_most_20_errors() -> None:
    errors = details_of({f"unknown{n}": 1 for n in range(50)})["errors"]
    assert isinstance(errors, list)
    assert len(errors) == 20


def test_a_long_or_unwritable_key_is_made_writable() -> None:
    errors = details_of({"action": "a", "k" * 10_000: 1, "\ud800\0": 1})["errors"]
    written = orjson.dumps(errors)
    assert len(written) < 1_000
    assert b"\\u0000" not in written


def test_one_sentence_for_a_person() -> None:
    details: dict[str, JsonValue] = {
        "errors": [{"loc": ["task", "id"], "msg": "is odd"}, {"loc": [], "msg": "is even"}]
    }
    assert describe("payload", details) == "Invalid payload: task.id is odd (and 1 more)"
    assert describe("payload", problem((), "is odd")) == "Invalid payload: is odd"
    assert describe("payload", {}) == "Invalid payload"
    assert len(describe("payload", problem(("k" * 250, "k" * 250), "is odd"))) < 250
