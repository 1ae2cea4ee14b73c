"""Control messages: cancelling a request."""

import orjson
import pytest
from pydantic import JsonValue

from holdfast_protocol.control import (
    MAX_CONTROL_BYTES,
    Cancel,
    cancel_body,
    cancel_key,
    parse_control,
)


@pytest.mark.parametrize("sender", ["planner", None])
def test_a_cancellation_names_the_identity_of_the_message(sender: str | None) -> None:
    assert parse_control(cancel_body("m-1", sender)) == Cancel("m-1", sender)


def test_its_form() -> None:
    assert cancel_key("storage") == "storage.cancel"
    assert orjson.loads(cancel_body("m-1", None)) == {
        "type": "cancel",
        "message_id": "m-1",
        "sender": None,
    }


def test_an_absent_sender_is_none_and_a_later_field_is_ignored() -> None:
    assert parse_control(b'{"type":"cancel","message_id":"m","why":1}') == Cancel("m", None)


def test_the_sender_the_broker_vouches_for_wins() -> None:
    assert parse_control(cancel_body("m", "somebody"), "ada") == Cancel("m", "ada")
    assert parse_control(cancel_body("m", None), "ada") == Cancel("m", "ada")


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b"1", b"\xff", b"{}", b'{"type":"later","message_id":"m"}'],
)
def test_anything_else_is_nothing(body: bytes) -> None:
    assert parse_control(body) is None


@pytest.mark.parametrize("bad", ["", "x" * 129, 1, None, [], "a\0"])
def test_an_id_that_no_message_can_have(bad: JsonValue) -> None:
    assert parse_control(orjson.dumps({"type": "cancel", "message_id": bad})) is None


@pytest.mark.parametrize("bad", ["", "x" * 129, 1, [], {}])
def test_a_sender_that_no_message_can_have(bad: JsonValue) -> None:
    body = orjson.dumps({"type": "cancel", "message_id": "m", "sender": bad})
    assert parse_control(body) is None


def test_a_large_body_is_not_even_read() -> None:
    body = cancel_body("m", None)
    assert parse_control(body + b" " * (MAX_CONTROL_BYTES - len(body))) == Cancel("m", None)
    assert parse_control(body + b" " * (MAX_CONTROL_BYTES - len(body) + 1)) is None
    assert parse_control(b"[" * MAX_CONTROL_BYTES) is None
