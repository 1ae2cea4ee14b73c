"""When two payloads are the same (wire contract, section 10 "Refusal or outcome")."""

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from holdfast_protocol import ValidationError
from holdfast_protocol.codec import canonical_json, payload_digest
from tests.unit.protocol.json_texts import CLEAN_VALUES, LAW


def shuffled(value: JsonValue, order: random.Random) -> JsonValue:
    """The same value with the keys of every object in another order."""
    if isinstance(value, dict):
        keys = list(value)
        order.shuffle(keys)
        return {key: shuffled(value[key], order) for key in keys}
    return [shuffled(item, order) for item in value] if isinstance(value, list) else value


@LAW
@given(CLEAN_VALUES, st.randoms())
def test_key_order_is_ignored(value: JsonValue, order: random.Random) -> None:
    other = shuffled(value, order)
    assert canonical_json(other) == canonical_json(value)
    assert payload_digest("a", other) == payload_digest("a", value)


@LAW
@given(CLEAN_VALUES)
def test_the_canonical_text_is_the_value(value: JsonValue) -> None:
    text = canonical_json(value)
    again: JsonValue = json.loads(text)
    assert again == value
    assert canonical_json(again) == text


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1}, {"a": 1.0}),
        ({"a": 0.0}, {"a": -0.0}),
        ({"a": 1}, {"a": True}),
        ({"a": None}, {}),
        ({"a": "1"}, {"a": 1}),
        ({"a": [1, 2]}, {"a": [2, 1]}),
        ({"a": {}}, {"a": []}),
    ],
)
def test_different_payloads_have_different_digests(one: JsonValue, other: JsonValue) -> None:
    assert payload_digest("a", one) != payload_digest("a", other)


def test_the_action_counts() -> None:
    assert payload_digest("a", {}) != payload_digest("b", {})


def test_a_digest_has_16_bytes_and_never_changes() -> None:
    # Digests are stored with identities: another value here breaks every stored one.
    digest = payload_digest("storage_save", {"task": {"title": "Write", "n": 1.0}})
    assert digest.hex() == "bdfbded38c3ae99550f46ef48de755a1"


@pytest.mark.parametrize("value", [object(), 2**64, "\ud800"])
def test_what_is_no_json_value_is_refused(value: JsonValue) -> None:
    with pytest.raises(ValidationError):
        canonical_json(value)
