"""Keys and sort values: bytes that compare as the contract orders."""

from functools import cmp_to_key

from hypothesis import given
from hypothesis import strategies as st

from holdfast_backends.encoding import (
    MAX_INDEXED_BYTES,
    cut,
    index_value,
    inverted,
    is_cut,
    record_id,
    record_key,
    sort_value,
    split_sort_value,
)
from holdfast_backends.paths import MISSING
from holdfast_backends.values import JsonValue

INTEGERS = st.integers(-(2**63), 2**63 - 1)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
EDGES = st.sampled_from([2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63), 2.0**53, 2.0**63])
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
SCALARS = st.none() | st.booleans() | INTEGERS | FLOATS | EDGES | TEXTS
COMPOUNDS: st.SearchStrategy[JsonValue] = st.sampled_from([[], {}, [1]])
VALUES: st.SearchStrategy[JsonValue] = SCALARS | COMPOUNDS
IDS = st.integers(1, 2**63 - 1) | TEXTS.filter(bool)


def rank(value: JsonValue) -> int:
    """The class of a value in the contract's order (section 7)."""
    if value is None:
        return 0
    ranks: dict[type, int] = {bool: 1, int: 2, float: 2, str: 3, list: 4, dict: 5}
    return ranks[type(value)]


def compared(left: JsonValue, right: JsonValue) -> int:
    """The contract's order, written anew: -1, 0 or 1."""
    if rank(left) != rank(right):
        return -1 if rank(left) < rank(right) else 1
    if isinstance(left, (bool, int, float, str)) and isinstance(right, (bool, int, float, str)):
        return (left > right) - (left < right)  # type: ignore[operator]
    return 0


@given(VALUES, VALUES)
def test_sort_values_compare_as_the_contract_orders_values(
    left: JsonValue, right: JsonValue
) -> None:
    one, other = sort_value(left), sort_value(right)
    assert (one > other) - (one < other) == compared(left, right)


@given(VALUES, VALUES)
def test_inverted_sort_values_compare_the_other_way_round(
    left: JsonValue, right: JsonValue
) -> None:
    one, other = inverted(sort_value(left)), inverted(sort_value(right))
    assert (one > other) - (one < other) == compared(right, left)


@given(VALUES, st.binary(max_size=8))
def test_a_sort_value_ends_where_the_next_part_begins(value: JsonValue, rest: bytes) -> None:
    assert split_sort_value(sort_value(value) + rest) == (sort_value(value), rest)


def test_missing_sorts_as_null() -> None:
    assert sort_value(MISSING) == sort_value(None)


def test_zero_has_one_place_whatever_its_sign_and_type() -> None:
    assert sort_value(0) == sort_value(0.0) == sort_value(-0.0)


@given(IDS)
def test_a_key_gives_its_id_back(value: int | str) -> None:
    back = record_id(record_key(value))
    assert (type(back), back) == (type(value), value)


@given(st.lists(IDS))
def test_keys_order_integers_before_strings(ids: list[int | str]) -> None:
    expected = sorted(ids, key=cmp_to_key(compared))
    assert [record_id(key) for key in sorted(map(record_key, ids))] == expected


@given(TEXTS, TEXTS, st.integers(480, 520))
def test_cut_values_never_contradict_the_order(left: str, right: str, padding: int) -> None:
    one, other = sort_value("p" * padding + left), sort_value("p" * padding + right)
    if one < other:
        assert cut(one) <= cut(other)


@given(st.integers(400, 600))
def test_only_a_cut_value_is_called_cut(length: int) -> None:
    value = index_value("x" * length)
    assert len(value) <= MAX_INDEXED_BYTES
    assert is_cut(value) == (length + 2 > MAX_INDEXED_BYTES)
