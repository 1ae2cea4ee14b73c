"""Orders and positions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast_backends.cursors import write_cursor
from holdfast_backends.encoding import record_key, sort_value
from holdfast_backends.errors import InvalidValueError
from holdfast_backends.operations import Find
from holdfast_backends.paths import lookup
from holdfast_backends.sorting import parse_sort, place_of, position_of
from holdfast_backends.values import JsonObject, JsonValue

VALUES: st.SearchStrategy[JsonValue] = st.sampled_from(
    [None, True, 1, 2.5, "", "a", "x" * 600, [], {}]
)
SORTS = st.lists(
    st.tuples(st.sampled_from(["a", "b", "id"]), st.sampled_from(["asc", "desc"])), max_size=4
)
IDS = st.integers(1, 2**63 - 1) | st.sampled_from(["a", "ab", "é", "x" * 255])


@given(IDS, VALUES, VALUES, SORTS)
def test_a_position_gives_its_place_back(
    record_id: int | str, a: JsonValue, b: JsonValue, pairs: list[tuple[str, str]]
) -> None:
    sort = parse_sort(pairs)
    document: JsonObject = {"id": record_id, "a": a, "b": b}
    key = record_key(record_id)
    value, back = place_of(position_of(key, document, sort), sort)
    assert back == key
    if sort and sort[0].path != ("id",):
        assert value == sort_value(lookup(document, sort[0].path))


@given(st.binary(max_size=40), SORTS)
def test_other_bytes_are_a_place_or_refused(position: bytes, pairs: list[tuple[str, str]]) -> None:
    try:
        place_of(position, parse_sort(pairs))
    except InvalidValueError as error:
        assert error.loc == ("cursor",)


@pytest.mark.parametrize("position", [b"", b"\x09", b"\x03abc", b"\x02", b"\xff" * 9])
def test_a_cursor_with_a_right_checksum_over_rubbish_is_refused(position: bytes) -> None:
    sort = parse_sort([["a", "asc"]])
    forged = write_cursor(Find("c", sort=sort).fingerprint, position)
    with pytest.raises(InvalidValueError):
        Find("c", sort=sort, cursor=forged)


def test_a_repeated_path_cannot_matter_but_its_direction_orders_the_ids() -> None:
    assert parse_sort([["a", "asc"], ["b", "asc"], ["a", "desc"]]) == parse_sort(
        [["a", "asc"], ["b", "asc"], ["id", "desc"]]
    )


def test_nothing_behind_the_id_can_matter() -> None:
    assert parse_sort([["id", "desc"], ["a", "asc"]]) == parse_sort([["id", "desc"]])
