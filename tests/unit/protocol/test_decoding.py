"""Bytes to messages: what is refused, whole or alone, and whom to answer
(wire contract, sections 5 and 10)."""

import json
from datetime import UTC, datetime
from unittest.mock import ANY
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from pydantic import JsonValue

from holdfast_protocol import AgentMessage
from holdfast_protocol.codec import Batch, Limits, Refusal, decode_messages
from tests.unit.protocol.json_texts import CLEAN_VALUES, LAW, VALUES


def decode(
    body: object,
    *,
    limits: Limits = Limits(),  # noqa: B008 - frozen
    default_id: str | None = None,
    user_id: str | None = None,
) -> Batch:
    encoded = body if isinstance(body, bytes) else orjson.dumps(body)
    return decode_messages(encoded, limits=limits, default_id=default_id, user_id=user_id)


def message(
    body: object, *, default_id: str | None = None, user_id: str | None = None
) -> AgentMessage:
    batch = decode(body, default_id=default_id, user_id=user_id)
    (item,) = batch.items
    assert isinstance(item, AgentMessage), item
    return item


def refusal(
    body: object,
    *,
    limits: Limits = Limits(),  # noqa: B008 - frozen
    default_id: str | None = None,
    user_id: str | None = None,
) -> Refusal:
    batch = decode(body, limits=limits, default_id=default_id, user_id=user_id)
    (item,) = batch.items
    assert isinstance(item, Refusal), item
    return item


def place(refused: Refusal) -> JsonValue:
    errors = refused.details["errors"]
    assert isinstance(errors, list)
    assert isinstance(errors[0], dict)
    return errors[0]["loc"]


class TestOneObject:
    def test_is_one_message(self) -> None:
        batch = decode(
            {
                "action": "storage_save",
                "payload": {"task": {"title": "Write", "n": 1.0}},
                "id": "m-1",
                "sender": "planner",
                "recipient": "storage",
                "correlation_id": "talk",
                "causation_id": "m-0",
                "timestamp": "2026-01-02T03:04:05Z",
                "deadline": "2026-01-02T03:04:06+00:00",
                "metadata": {"trace": [1]},
                "schema_version": "1",
            }
        )
        assert not batch.is_array
        assert batch.items == [
            AgentMessage(
                action="storage_save",
                payload={"task": {"title": "Write", "n": 1.0}},
                id="m-1",
                sender="planner",
                recipient="storage",
                correlation_id="talk",
                causation_id="m-0",
                timestamp=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
                deadline=datetime(2026, 1, 2, 3, 4, 6, tzinfo=UTC),
                metadata={"trace": [1]},
                schema_version="1",
            )
        ]

    @pytest.mark.parametrize("body", [{"action": "a"}, {"action": "a", "id": None}])
    def test_without_an_id_takes_the_amqp_message_id(self, body: object) -> None:
        assert message(body, default_id="amqp-1").id == "amqp-1"
        assert UUID(message(body).id).version == 7

    def test_keeps_its_own_id(self) -> None:
        assert message({"action": "a", "id": "own"}, default_id="amqp-1").id == "own"

    def test_takes_an_empty_id_as_absent(self) -> None:
        assert UUID(message({"action": "a"}, default_id="").id).version == 7

    @pytest.mark.parametrize("default_id", ["x" * 129, "a\0b"])
    def test_refuses_an_impossible_id_rather_than_lose_the_identity(self, default_id: str) -> None:
        refused = refusal({"action": "a"}, default_id=default_id)
        assert refused.details["errors"] == [{"loc": ["id"], "msg": ANY}]


class TestSender:
    @pytest.mark.parametrize("sender", [None, "planner", "vouched"])
    def test_the_vouched_one_wins(self, sender: str | None) -> None:
        assert message({"action": "a", "sender": sender}, user_id="vouched").sender == "vouched"

    @pytest.mark.parametrize("user_id", [None, ""])
    def test_without_a_vouched_one_it_is_the_messages(self, user_id: str | None) -> None:
        assert message({"action": "a", "sender": "planner"}, user_id=user_id).sender == "planner"
        assert message({"action": "a"}, user_id=user_id).sender is None

    def test_a_wrong_one_is_refused_all_the_same(self) -> None:
        refused = refusal({"action": "a", "sender": 5}, user_id="vouched")
        assert place(refused) == ["sender"]
        assert refused.sender == "vouched"

    def test_it_wins_in_an_array_too(self) -> None:
        batch = decode([{"action": "a"}, {"action": "a", "sender": "x"}], user_id="vouched")
        assert [item.sender for item in batch.items] == ["vouched", "vouched"]


class TestArray:
    def test_is_many_messages_in_order(self) -> None:
        batch = decode([{"action": "a", "id": "1"}, {"action": "b", "id": "2"}])
        assert batch.is_array
        assert [item.id for item in batch.items] == ["1", "2"]

    def test_of_one_is_still_an_array(self) -> None:
        assert decode([{"action": "a"}]).is_array

    def test_the_amqp_message_id_is_no_default_there(self) -> None:
        batch = decode([{"action": "a"}, {"action": 5}], default_id="amqp-1")
        fresh, refused = batch.items
        assert fresh.id != "amqp-1"
        assert refused.id is None

    @pytest.mark.parametrize("element", [5, None, "x", [], [{"action": "a"}]])
    def test_an_element_that_is_no_object_refuses_only_itself(self, element: JsonValue) -> None:
        first, odd, last = decode([{"action": "a"}, element, {"action": "b"}]).items
        assert isinstance(first, AgentMessage)
        assert isinstance(odd, Refusal)
        assert isinstance(last, AgentMessage)
        assert (odd.error_type, odd.id) == ("validation_error", None)

    def test_a_thousand_messages_are_accepted(self) -> None:
        assert len(decode([{"action": "a"}] * 1_000).items) == 1_000

    @pytest.mark.parametrize(
        ("fault", "loc"),
        [
            ('{"a":1,"a":1}', ["payload", "a"]),
            ('{"a":{"b":1,"b":2}}', ["payload", "a", "b"]),
            ('{"a":[0,9223372036854775808]}', ["payload", "a", 1]),
            ('{"a":18446744073709551616}', ["payload", "a"]),
            ('{"a":1e400}', ["payload", "a"]),
            ('{"a":"\\ud800"}', ["payload", "a"]),
            ('{"a":"\\u0000"}', ["payload", "a"]),
            ('{"a":{"\\u0000":1}}', ["payload", "a", "\ufffd"]),
            ('{"a":{"\\udc00":1}}', ["payload", "a", "?"]),
            ('{"a":' + "[" * 95 + "]" * 95 + "}", ["payload", "a", *[0] * 94]),
        ],
    )
    def test_a_fault_refuses_only_its_message(self, fault: str, loc: list[JsonValue]) -> None:
        body = (
            '[{"action":"a","id":"1","payload":{"a":[1.0,-0]}},'
            f'{{"action":"b","id":"2","correlation_id":"talk","payload":{fault}}},'
            '{"action":"c","id":"3"}]'
        )
        first, odd, last = decode(body.encode()).items
        assert isinstance(first, AgentMessage)
        assert first.payload == {"a": [1.0, 0]}
        assert isinstance(last, AgentMessage)
        assert isinstance(odd, Refusal)
        assert (odd.id, odd.correlation_id, odd.action) == ("2", "talk", "b")
        assert place(odd) == loc


class TestBodyRefusedWhole:
    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"{",
            b'{"action":"a","payload":{"x":NaN}}',
            b'{"action":"a"}\xff',
            '{"action":"a"}'.encode("utf-16"),
            b"5",
            b"null",
            b'"storage_get"',
            b"[]",
            b"[" * 100_000,
            b'{"action":"a","payload":{"x":' + b"[" * 500 + b"]" * 500 + b"}}",
        ],
    )
    def test_is_one_validation_error(self, body: bytes) -> None:
        batch = decode(body, default_id="amqp-1", user_id="vouched")
        assert not batch.is_array
        (refused,) = batch.items
        assert isinstance(refused, Refusal)
        assert refused.error_type == "validation_error"
        assert (refused.id, refused.sender) == ("amqp-1", "vouched")

    def test_more_than_a_thousand_messages_are_too_large(self) -> None:
        refused = refusal([{"action": "a"}] * 1_001)
        assert refused.error_type == "too_large"
        assert not decode([{"action": "a"}] * 1_001).is_array

    def test_a_body_over_the_limit_is_too_large(self) -> None:
        body = b'{"action":"a"}'
        assert refusal(body, limits=Limits(message_bytes=13)).error_type == "too_large"
        assert not isinstance(decode(body, limits=Limits(message_bytes=14)).items[0], Refusal)

    def test_the_limit_is_16_mib(self) -> None:
        body = b'{"action":"a","payload":{"x":"' + b"x" * 2**24 + b'"}}'
        assert refusal(body).error_type == "too_large"
        assert isinstance(decode(body[: 2**24 - 3] + b'"}}').items[0], AgentMessage)

    def test_without_an_amqp_message_id_nobody_is_named(self) -> None:
        refused = refusal(b"{")
        assert (refused.id, refused.correlation_id, refused.sender) == (None, None, None)


class TestRefusedMessage:
    @pytest.mark.parametrize(
        ("fields", "loc"),
        [
            ({"action": None}, ["action"]),
            ({"action": "Nope"}, ["action"]),
            ({"payload": []}, ["payload"]),
            ({"deadline": "soon"}, ["deadline"]),
            ({"surprise": 1}, ["surprise"]),
            ({"surprise": None}, ["surprise"]),
            ({"schema_version": "2"}, ["schema_version"]),
        ],
    )
    def test_still_knows_whom_to_answer(
        self, fields: dict[str, JsonValue], loc: list[JsonValue]
    ) -> None:
        refused = refusal(
            {
                "action": "a",
                "id": "m-1",
                "correlation_id": "talk",
                "sender": "planner",
                "recipient": "storage",
                **fields,
            }
        )
        assert refused.error_type == "validation_error"
        assert place(refused) == loc
        assert (refused.id, refused.correlation_id) == ("m-1", "talk")
        assert (refused.sender, refused.recipient) == ("planner", "storage")

    @pytest.mark.parametrize("name", ["id", "correlation_id", "sender"])
    @pytest.mark.parametrize("value", ['""', "5", '"\\u0000"', '"\\ud800"', f'"{"x" * 129}"'])
    def test_what_could_not_be_read_is_absent(self, name: str, value: str) -> None:
        refused = refusal(f'{{"action":"a","{name}":{value}}}'.encode(), default_id="amqp-1")
        named = {"id": refused.id, "correlation_id": refused.correlation_id}
        assert refused.sender is None
        assert named == {"id": "amqp-1", "correlation_id": None}

    def test_an_id_given_twice_could_not_be_read(self) -> None:
        refused = refusal(b'{"action":"a","id":"1","id":"2"}')
        assert refused.id is None
        assert place(refused) == ["id"]

    def test_becomes_an_error_reply(self) -> None:
        refused = refusal({"action": "a", "id": "m-1", "correlation_id": "talk", "surprise": 1})
        response = refused.to_reply("storage").to_response()
        assert (response.in_reply_to, response.correlation_id) == ("m-1", "talk")
        assert (response.sender, response.status) == ("storage", "error")
        assert response.error_type == "validation_error"
        assert response.error == "Invalid message: surprise is not a known field"
        assert response.details == refused.details

    def test_a_thousand_unknown_fields_are_few_errors(self) -> None:
        refused = refusal({"action": "a", **{f"x{n}": 1 for n in range(1_000)}})
        assert len(json.dumps(refused.details)) < 2_000


class TestLevels:
    @pytest.mark.parametrize("in_array", [False, True])
    def test_a_message_has_at_most_96(self, in_array: bool) -> None:
        def body(levels: int) -> bytes:
            nested = '{"action":"a","payload":{"x":' + "[" * (levels - 2) + "]" * (levels - 2)
            return (f"[{nested}}}}}]" if in_array else nested + "}}").encode()

        assert isinstance(decode(body(96)).items[0], AgentMessage)
        assert isinstance(decode(body(97)).items[0], Refusal)


@LAW
@given(VALUES)
def test_nothing_a_sender_writes_raises(text: str) -> None:
    for body in (text, f"[{text}]", f'{{"action":"a","payload":{text}}}'):
        assert decode(body.encode()).items


@LAW
@given(CLEAN_VALUES)
def test_a_payload_arrives_as_it_was_written(value: JsonValue) -> None:
    payload: dict[str, JsonValue] = {"task": value}
    for body in (
        orjson.dumps({"action": "a", "payload": payload}),
        json.dumps({"action": "a", "payload": payload}).encode(),
        json.dumps({"action": "a", "payload": payload}, indent=2).encode(),
    ):
        assert repr(message(body).payload) == repr(payload)
