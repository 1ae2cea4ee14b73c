"""Random JSON texts for the tests: every way of writing, and every fault of the contract."""

from typing import Final

from hypothesis import settings
from hypothesis import strategies as st

LAW: Final = settings(deadline=None)
"""Laws are about what holds, not about how long it takes on a busy machine."""

_BLANKS = st.text(" \t\r\n", max_size=2)

_PLAIN_TEXT = st.text("abé😀 :,{}[]0", max_size=6).map(lambda text: f'"{text}"')
_ESCAPED_TEXT = st.sampled_from(
    [
        '"\\u00e9"',
        '"\\ud83d\\ude00"',
        '"\\""',
        '"\\\\"',
        '"\\\\u0000"',
        '"\\/"',
        '"\\n"',
        '"\\u0041"',
        '"\\":"',
        '"1e999"',
        '"9223372036854775808"',
    ]
)
_FAULTY_TEXT = st.sampled_from(
    ['"\\u0000"', '"a\\u0000b"', '"\\ud800"', '"\\udc00x"', '"\\ud800\\ud800"', '"\\uDBFF"']
)
_NUMBER = st.one_of(
    st.integers(-(2**70), 2**70).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.sampled_from(
        [
            "0",
            "-0",
            "-0.0",
            "1.0",
            "1.10",
            "1e5",
            "1E+5",
            "1e22",
            "1e-400",
            "1e400",
            "-1e400",
            "1e309",
            "9223372036854775807",
            "9223372036854775808",
            "-9223372036854775808",
            "-9223372036854775809",
            "18446744073709551615",
            "18446744073709551616",
            "123456789012345678901234567890",
            "9" * 400,
            "9" * 120 + "e99",
            "0." + "1" * 150,
            "1735689600000000000",
        ]
    ),
)
_SCALAR = st.one_of(
    st.sampled_from(["null", "true", "false"]), _NUMBER, _PLAIN_TEXT, _ESCAPED_TEXT, _FAULTY_TEXT
)
_KEY = st.one_of(
    st.sampled_from(['"a"', '"b"', '""', '"\\u0061"', '"a:"', '"é"', '"\\u00e9"']),
    _FAULTY_TEXT,
    _PLAIN_TEXT,
)


def _array(items: list[tuple[str, str]]) -> str:
    return "[" + ",".join(blank + item for blank, item in items) + "]"


def _object(items: list[tuple[tuple[str, str], str]]) -> str:
    members = (f"{blank}{key}{blank}:{blank}{item}" for (blank, key), item in items)
    return "{" + ",".join(members) + "}"


def _containers(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    arrays = st.lists(st.tuples(_BLANKS, inner), max_size=4).map(_array)
    keys = st.tuples(_BLANKS, _KEY)
    objects = st.lists(st.tuples(keys, inner), max_size=4).map(_object)
    return st.one_of(arrays, objects)


VALUES = st.recursive(_SCALAR, _containers, max_leaves=12)
"""Texts of one JSON value, faults of single messages included."""

CLEAN_VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**63 - 1),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=4),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=12,
)
"""JSON values that keep every rule of the contract."""
