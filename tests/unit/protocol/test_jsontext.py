"""Strict reading of JSON text: the fast proofs agree with the slow scan on everything."""

import json
from typing import Final

import orjson
import pytest
from hypothesis import example, given, settings
from pydantic import JsonValue

from holdfast_protocol.jsontext import (
    SAFE_LEVELS,
    NotJsonError,
    Problem,
    find_problem,
    is_clean,
    is_proven,
    load,
    scan,
)
from tests.unit.protocol.json_texts import CLEAN_VALUES, LAW, VALUES

LEVELS: Final = 96


def read(body: bytes, levels: int = LEVELS) -> object:
    """The value, or the first problem, as the codec finds it."""
    value, faulty = load(body)
    if not faulty and is_proven(value, body, levels):
        return value
    scanned = scan(value, body)
    return scanned if is_clean(scanned, body, levels) else find_problem(scanned, levels) or scanned


def read_slowly(body: bytes, levels: int = LEVELS) -> object:
    """The same without any short cut."""
    scanned = scan(load(body)[0], body)
    return find_problem(scanned, levels) or scanned


def exactly(value: object) -> str:
    """A text that tells 1 from 1.0 and 0.0 from -0.0."""
    return repr(value)


def place(text: str) -> tuple[str | int, ...]:
    problem = read(text.encode())
    assert isinstance(problem, Problem), problem
    return problem.loc


@settings(max_examples=1_000, deadline=None)
@given(VALUES)
@example('{"a":1,"a":1}')
@example('{"a":[9223372036854775808]}')
@example('{"a" : "\\u0000"}')
@example('["\\\\u0000"]')
@example('{"a":1e400,"b":"\\ud800"}')
@example('["\\u0e1234"]')
@example('["\\u12e34567"]')
def test_fast_and_slow_reading_agree(text: str) -> None:
    body = text.encode()
    assert exactly(read(body)) == exactly(read_slowly(body))


@LAW
@given(CLEAN_VALUES)
def test_every_way_of_writing_reads_the_same(value: JsonValue) -> None:
    written = [
        orjson.dumps(value),
        orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE),
        json.dumps(value).encode(),
        json.dumps(value, ensure_ascii=False, indent="\t").encode(),
        json.dumps(value, separators=(",", ":")).encode(),
    ]
    assert {exactly(read(body)) for body in written} == {exactly(value)}


@LAW
@given(CLEAN_VALUES)
def test_compact_and_indented_text_is_proven_without_a_scan(value: JsonValue) -> None:
    for option in (None, orjson.OPT_INDENT_2):
        body = orjson.dumps(value, option=option)
        parsed, faulty = load(body)
        assert not faulty
        assert is_proven(parsed, body, LEVELS) == (find_problem(parsed, LEVELS) is None)


class TestPlaces:
    @pytest.mark.parametrize(
        ("text", "loc"),
        [
            ('{"a":1,"a":2}', ("a",)),
            ('{"a":1,"\\u0061":2}', ("a",)),
            ('{"a":[{},{"b":{"c":1,"d":2,"c":3}}]}', ("a", 1, "b", "c")),
            ('{"a":{"x":1},"a":{"x":1}}', ("a",)),
            ('{"":1,"":2}', ("",)),
            ("[0,9223372036854775808]", (1,)),
            ("[-9223372036854775809]", (0,)),
            ('{"a":1e400}', ("a",)),
            ('{"a":[-1e999]}', ("a", 0)),
            ('{"a":"\\ud800"}', ("a",)),
            ('{"a":"\\udc00\\ud800"}', ("a",)),
            ('{"a":{"\\ud800":1}}', ("a", "\ud800")),
            ('{"a":"x\\u0000"}', ("a",)),
            ('{"a\\u0000":1}', ("a\0",)),
            ("9223372036854775808", ()),
            ('{"a":["x","\\u0000",1e999]}', ("a", 1)),
            ('{"a":[1e999,"\\u0000"]}', ("a", 0)),
        ],
    )
    def test_the_first_fault_is_named(self, text: str, loc: tuple[str | int, ...]) -> None:
        assert place(text) == loc

    def test_a_huge_integer_is_found_quickly(self) -> None:
        assert place('{"a":' + "9" * 1_000_000 + "}") == ("a",)


class TestNumbers:
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("-0", 0),
            ("-0.0", -0.0),
            ("1.0", 1.0),
            ("1e22", 1e22),
            ("10", 10),
            ("1e-400", 0.0),
            ("0.1000000000000000055511151231257827", 0.1),
            ("9223372036854775807", 2**63 - 1),
            ("-9223372036854775808", -(2**63)),
            ("9223372036854775808.0", 2.0**63),
        ],
    )
    def test_keep_value_and_type(self, text: str, value: float) -> None:
        assert exactly(read(f"[{text}]".encode())) == exactly([value])


class TestNotJson:
    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b" ",
            b"{",
            b"[1,]",
            b'{"a":1,}',
            b"{'a':1}",
            b"01",
            b"1.",
            b"+1",
            b"[NaN]",
            b"[Infinity]",
            b"[-Infinity]",
            b"[1] x",
            b"[1]\0",
            b'"\x01"',
            b'"\xff"',
            b'"\xed\xa0\x80"',
            b'\xef\xbb\xbf{"a":1}',
            '{"a":1}'.encode("utf-16"),
            b'["\\ud800",NaN]',
            b'["\\ud800"',
            b"[1e400,01]",
        ],
    )
    def test_a_broken_body(self, body: bytes) -> None:
        with pytest.raises(NotJsonError, match="is not UTF-8 JSON"):
            load(body)

    @pytest.mark.parametrize("levels", [SAFE_LEVELS + 1, 1_024, 1_025, 1_000_000])
    @pytest.mark.parametrize("fault", ["1", '"\\ud800"', "1e400"])
    def test_a_body_too_deep_to_be_parsed(self, levels: int, fault: str) -> None:
        with pytest.raises(NotJsonError, match="is nested too deeply"):
            read(("[" * levels + fault + "]" * levels).encode())


class TestLevels:
    @pytest.mark.parametrize("opening", ["[", '{"a":'])
    @pytest.mark.parametrize("levels", [1, 3, 96, 97])
    def test_are_counted_exactly(self, opening: str, levels: int) -> None:
        closing = "]" if opening == "[" else "}"
        inside = (opening * levels + "1" + closing * levels).encode()
        beyond = (opening * (levels + 1) + "1" + closing * (levels + 1)).encode()
        assert not isinstance(read(inside, levels), Problem)
        problem = read(beyond, levels)
        assert isinstance(problem, Problem)
        assert len(problem.loc) == levels
        assert problem.message == f"is nested more than {levels} levels deep"

    @pytest.mark.parametrize("levels", [96, 97])
    def test_are_counted_exactly_in_a_wide_value(self, levels: int) -> None:
        def nested(depth: int) -> bytes:
            return b"[" + b"[]," * 200 + b"[" * (depth - 1) + b"]" * (depth - 1) + b"]"

        assert not isinstance(read(nested(levels), levels), Problem)
        assert isinstance(read(nested(levels + 1), levels), Problem)

    def test_the_writer_measures_what_this_module_relies_on(self) -> None:
        value: object = 1
        for _ in range(SAFE_LEVELS):
            value = [value]
        orjson.dumps(value)
        with pytest.raises(orjson.JSONEncodeError):
            orjson.dumps([value])
