"""Messages and replies to bytes, responses from bytes (wire contract, sections 2, 3 and 10)."""

from datetime import UTC, datetime
from typing import Literal
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from holdfast_protocol import AgentMessage, ValidationError
from holdfast_protocol.codec import (
    decode_messages,
    decode_responses,
    encode_message,
    encode_messages,
    encode_replies,
    split_replies,
)
from holdfast_protocol.replies import RawJson, Reply
from tests.unit.protocol.json_texts import CLEAN_VALUES, LAW

MESSAGE = AgentMessage(action="storage_get", id="m-1", correlation_id="talk")

IDENTIFIERS = st.text(
    st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=128
)
OBJECTS = st.dictionaries(st.sampled_from(["a", "b", "é"]), CLEAN_VALUES, max_size=3)
TIMES = st.datetimes(timezones=st.just(UTC)).map(lambda moment: moment.replace(fold=0))
MESSAGES = st.builds(
    AgentMessage,
    action=st.from_regex(r"[a-z][a-z0-9_]{0,63}", fullmatch=True),
    payload=OBJECTS,
    id=IDENTIFIERS,
    sender=st.none() | IDENTIFIERS,
    recipient=st.none() | IDENTIFIERS,
    correlation_id=st.none() | IDENTIFIERS,
    causation_id=st.none() | IDENTIFIERS,
    timestamp=st.none() | TIMES,
    deadline=st.none() | TIMES,
    metadata=OBJECTS,
    schema_version=st.sampled_from([None, "1"]),
)


class TestMessages:
    @LAW
    @given(MESSAGES)
    def test_a_message_comes_back_equal(self, message: AgentMessage) -> None:
        (back,) = decode_messages(encode_message(message)).items
        assert back == message
        assert repr(back) == repr(message)

    @LAW
    @given(st.lists(MESSAGES, min_size=1, max_size=4))
    def test_so_do_several(self, messages: list[AgentMessage]) -> None:
        batch = decode_messages(encode_messages(messages))
        assert batch.is_array
        assert batch.items == messages

    def test_absent_fields_are_left_out(self) -> None:
        assert orjson.loads(encode_message(AgentMessage(action="a", id="m-1"))) == {
            "action": "a",
            "payload": {},
            "id": "m-1",
        }

    def test_times_have_the_canonical_form(self) -> None:
        message = AgentMessage(action="a", deadline=datetime(2026, 1, 2, tzinfo=UTC))
        assert b'"deadline":"2026-01-02T00:00:00.000000Z"' in encode_message(message)

    @pytest.mark.parametrize(
        "value",
        [object(), {1: 2}, datetime(2026, 1, 1, tzinfo=UTC), b"x", {1, 2}, 2**64, "\ud800"],
    )
    def test_what_is_no_json_value_is_refused(self, value: JsonValue) -> None:
        with pytest.raises(ValidationError, match="cannot be written as JSON"):
            encode_message(AgentMessage(action="a", payload={"x": value}))

    @pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
    def test_no_float_silently_becomes_null(self, number: float) -> None:
        bad = AgentMessage(action="a", payload={"x": [None, {"y": number}]})
        with pytest.raises(ValidationError) as caught:
            encode_messages([MESSAGE, bad])
        assert caught.value.details == {
            "errors": [{"loc": ["payload", "x", 1, "y"], "msg": "must be finite"}]
        }
        with pytest.raises(ValidationError):
            encode_message(AgentMessage(action="a", metadata={"x": number}))

    def test_a_real_null_is_written(self) -> None:
        assert b'{"x":null}' in encode_message(AgentMessage(action="a", payload={"x": None}))


class TestReplies:
    def test_a_success(self) -> None:
        reply = Reply.success(MESSAGE, "storage", {"id": 7}, {"version": 1, "next_cursor": None})
        fields = orjson.loads(encode_replies([reply], as_array=False))
        assert UUID(fields.pop("id")).version == 7
        assert fields.pop("timestamp").endswith("Z")
        assert fields == {
            "in_reply_to": "m-1",
            "correlation_id": "talk",
            "sender": "storage",
            "status": "success",
            "result": {"id": 7},
            "meta": {"version": 1, "next_cursor": None},
        }

    def test_an_error(self) -> None:
        reply = Reply.failure(MESSAGE, "storage", "not_found", "No such task")
        fields = orjson.loads(encode_replies([reply], as_array=False))
        del fields["id"], fields["timestamp"]
        assert fields == {
            "in_reply_to": "m-1",
            "correlation_id": "talk",
            "sender": "storage",
            "status": "error",
            "error": "No such task",
            "error_type": "not_found",
        }

    def test_a_missing_correlation_id_is_null(self) -> None:
        reply = Reply.success(AgentMessage(action="a"), "storage", None)
        fields = orjson.loads(encode_replies([reply], as_array=False))
        assert fields["correlation_id"] is None
        assert fields["result"] is None

    def test_a_handoff_and_the_meta_of_an_error_are_kept(self) -> None:
        handoff: dict[str, JsonValue] = {"agent": "data", "action": "data_load"}
        reply = Reply(
            "error", "storage", meta={"replayed": True}, error_type="conflict", handoff=handoff
        )
        (response,) = decode_responses(encode_replies([reply], as_array=False))
        assert (response.meta, response.handoff) == ({"replayed": True}, handoff)

    def test_many_are_an_array_with_one_timestamp_and_own_ids(self) -> None:
        replies = [Reply.success(MESSAGE, "storage", n) for n in range(3)]
        fields = orjson.loads(encode_replies(replies, as_array=True))
        assert [entry["result"] for entry in fields] == [0, 1, 2]
        assert len({entry["id"] for entry in fields}) == 3
        assert len({entry["timestamp"] for entry in fields}) == 1

    def test_raw_parts_are_spliced_byte_by_byte_anywhere(self) -> None:
        raw = RawJson(b'{"n": 1.10}')
        whole = encode_replies([Reply.success(MESSAGE, "s", raw)], as_array=False)
        inside = encode_replies(
            [Reply.success(MESSAGE, "s", [raw, {"status": "success", "result": raw}])],
            as_array=False,
        )
        assert b'"result":{"n": 1.10},' in whole
        assert b'"result":[{"n": 1.10},{"status":"success","result":{"n": 1.10}}]' in inside

    @LAW
    @given(CLEAN_VALUES)
    def test_a_result_comes_back_equal(self, value: JsonValue) -> None:
        plain = Reply.success(MESSAGE, "s", value)
        raw = Reply.success(MESSAGE, "s", RawJson(orjson.dumps(value)))
        for response in decode_responses(encode_replies([plain, raw], as_array=True)):
            assert repr(response.result) == repr(value)


class TestSplitting:
    REPLIES = tuple(Reply.success(MESSAGE, "storage", "x" * 100) for _ in range(20))

    def test_what_fits_stays_together(self) -> None:
        assert len(split_replies(self.REPLIES, 100_000)) == 1

    @LAW
    @given(st.integers(1, 8_000))
    def test_nothing_is_lost_and_the_limit_holds(self, limit: int) -> None:
        replies = [Reply.success(MESSAGE, "s", n) for n in range(20)]
        bodies = split_replies(replies, limit)
        arrays = [decode_responses(body) for body in bodies]
        assert [response.result for array in arrays for response in array] == [*range(20)]
        assert all(
            len(body) <= limit or len(array) == 1
            for body, array in zip(bodies, arrays, strict=True)
        )

    def test_a_reply_over_the_limit_stands_alone(self) -> None:
        small, large = Reply.success(MESSAGE, "s", 1), Reply.success(MESSAGE, "s", "x" * 5_000)
        sizes = [len(decode_responses(body)) for body in split_replies([small, large, small], 999)]
        assert sizes == [1, 1, 1]


class TestResponses:
    def test_an_object_and_an_array(self) -> None:
        one = b'{"status":"success","result":1}'
        assert [r.result for r in decode_responses(one)] == [1]
        assert [r.result for r in decode_responses(b"[" + one + b"," + one + b"]")] == [1, 1]

    def test_unknown_fields_are_dropped(self) -> None:
        (response,) = decode_responses(b'{"status":"success","later":1,"result":[2]}')
        assert response.result == [2]

    @pytest.mark.parametrize("name", ["meta", "details", "id", "timestamp", "handoff", "error"])
    def test_null_means_absent(self, name: str) -> None:
        body = orjson.dumps({"status": "success", name: None})
        assert decode_responses(body)[0].ok

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"{",
            b"5",
            b"[5]",
            b"{}",
            b'{"status":"done"}',
            b'{"status":"success","meta":[]}',
            b'{"status":"success","timestamp":"now","later":1}',
            b'[{"status":"success"},{}]',
        ],
    )
    def test_a_malformed_body_is_refused(self, body: bytes) -> None:
        with pytest.raises(ValidationError):
            decode_responses(body)

    @pytest.mark.parametrize("status", ["success", "error"])
    def test_an_envelope_comes_back_equal(self, status: Literal["success", "error"]) -> None:
        reply = Reply(status, "storage", "m-1", None, error_type="conflict", error="No")
        (response,) = decode_responses(encode_replies([reply], as_array=False))
        assert (response.status, response.sender, response.in_reply_to) == (
            status,
            "storage",
            "m-1",
        )
