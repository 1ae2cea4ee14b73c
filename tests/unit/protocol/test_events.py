"""Change events (wire contract, section 9)."""

from datetime import UTC, datetime

import orjson
import pytest
from pydantic import JsonValue

from holdfast_protocol import ChangeEvent, TooLargeError, ValidationError
from holdfast_protocol.events import (
    MAX_EVENTS_BYTES,
    EventPattern,
    decode_events,
    encode_event,
    is_event_pattern,
    parse_event_pattern,
)
from holdfast_protocol.jsonbytes import join_array

BODY = encode_event(
    "tasks", "updated", 7, 3, 17, "m-1", "planner", 1_767_323_045_000_006, b'{"id":7,"a":[1.0]}'
)
EVENT = ChangeEvent(
    id="tasks/17",
    collection="tasks",
    kind="updated",
    record_id=7,
    version=3,
    sequence=17,
    message_id="m-1",
    sender="planner",
    timestamp=datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
    document={"id": 7, "a": [1.0]},
)


def changed(**fields: JsonValue) -> bytes:
    return orjson.dumps({**orjson.loads(BODY), **fields})


def without(name: str) -> bytes:
    fields = orjson.loads(BODY)
    del fields[name]
    return orjson.dumps(fields)


class TestEncoding:
    def test_fields_stand_in_the_order_of_the_contract(self) -> None:
        assert BODY == (
            b'{"id":"tasks/17","collection":"tasks","kind":"updated","record_id":7,"version":3,'
            b'"sequence":17,"message_id":"m-1","sender":"planner",'
            b'"timestamp":"2026-01-02T03:04:05.000006Z","document":{"id":7,"a":[1.0]}}'
        )

    def test_the_document_is_spliced_as_it_is(self) -> None:
        document = b'{"id":"\xc3\xa4","n":1e22,"z":-0.0}'
        body = encode_event("u", "deleted", 'ä"', 1, 1, None, None, 0, document)
        assert body.endswith(b'"document":' + document + b"}")
        assert b'"message_id":null,"sender":null' in body
        (event,) = decode_events(body)
        assert (event.record_id, event.message_id, event.sender) == ('ä"', None, None)


class TestDecoding:
    def test_one_event(self) -> None:
        assert decode_events(BODY) == [EVENT]

    def test_several(self) -> None:
        assert decode_events(join_array([BODY, changed(sequence=18)]))[1].sequence == 18
        assert decode_events(b"[]") == []

    def test_what_a_later_version_adds_is_dropped(self) -> None:
        assert decode_events(changed(later={"a": 1})) == [EVENT]

    def test_who_did_it_may_be_absent(self) -> None:
        (event,) = decode_events(without("sender"))
        assert (event.sender, event.message_id) == (None, "m-1")

    @pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"NaN"])
    def test_other_bytes_are_refused(self, body: bytes) -> None:
        with pytest.raises(ValidationError, match="JSON"):
            decode_events(body)

    @pytest.mark.parametrize("body", [b"1", b"null", b'"x"', b"[1]", b"[[]]"])
    def test_only_objects_are_events(self, body: bytes) -> None:
        with pytest.raises(ValidationError, match="must be an object"):
            decode_events(body)

    @pytest.mark.parametrize(
        "name",
        [
            "id",
            "collection",
            "kind",
            "record_id",
            "version",
            "sequence",
            "timestamp",
            "document",
        ],
    )
    def test_what_an_event_needs(self, name: str) -> None:
        with pytest.raises(ValidationError, match=f"0.{name} is required"):
            decode_events(without(name))

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("id", 1),
            ("collection", "$locks"),
            ("kind", "changed"),
            ("record_id", 1.0),
            ("version", 0),
            ("version", "1"),
            ("sequence", 0),
            ("sequence", True),
            ("sequence", 1.0),
            ("message_id", 1),
            ("sender", []),
            ("timestamp", "2026-01-02"),
            ("timestamp", 5),
            ("document", []),
        ],
    )
    def test_other_values_are_refused(self, name: str, value: JsonValue) -> None:
        with pytest.raises(ValidationError) as caught:
            decode_events(changed(**{name: value}))
        errors = caught.value.details["errors"]
        assert isinstance(errors, list)
        assert [error["loc"] for error in errors if isinstance(error, dict)] == [[0, name]]

    def test_the_first_bad_event_ends_the_reading(self) -> None:
        with pytest.raises(ValidationError) as caught:
            decode_events(b"[" + b"1," * 10_000 + b"1]")
        assert caught.value.details["errors"] == [{"loc": [0], "msg": "must be an object"}]

    def test_what_is_longer_than_any_batch_is_not_even_read(self) -> None:
        longest = b"[" + b" " * (MAX_EVENTS_BYTES - 2) + b"]"
        assert decode_events(longest) == []
        with pytest.raises(TooLargeError, match="bytes"):
            decode_events(longest + b"{")


class TestPatterns:
    @pytest.mark.parametrize(
        ("text", "collection", "kind"),
        [
            ("#", None, None),
            ("*.*", None, None),
            ("*.#", None, None),
            ("tasks.#", "tasks", None),
            ("tasks.*", "tasks", None),
            ("tasks.created", "tasks", "created"),
            ("*.deleted", None, "deleted"),
            ("a-b_1.updated", "a-b_1", "updated"),
        ],
    )
    def test_what_they_mean(self, text: str, collection: str | None, kind: str | None) -> None:
        assert is_event_pattern(text)
        assert parse_event_pattern(text) == EventPattern(collection, kind)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "*",
            ".",
            "tasks",
            "tasks.",
            ".created",
            "tasks.changed",
            "#.created",
            "tasks.created.#",
            "Tasks.*",
            "$locks.*",
            "tasks.*\n",
            "a b.*",
        ],
    )
    def test_others_are_refused(self, text: str) -> None:
        assert not is_event_pattern(text)
        with pytest.raises(ValidationError, match="pattern"):
            parse_event_pattern(text)

    @pytest.mark.parametrize(
        ("text", "wanted"),
        [
            ("#", True),
            ("tasks.*", True),
            ("tasks.updated", True),
            ("*.updated", True),
            ("tasks.created", False),
            ("users.*", False),
            ("task.*", False),
        ],
    )
    def test_which_events_they_want(self, text: str, wanted: bool) -> None:
        assert parse_event_pattern(text).matches(EVENT) is wanted
