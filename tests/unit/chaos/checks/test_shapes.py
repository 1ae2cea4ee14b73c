"""What can be read as an answer to a message, and what cannot."""

from typing import Any, Final

import pytest

from tests.chaos.checks.shapes import has_shape
from tests.chaos.history import Answer, Message


def success(result: object, **meta: Any) -> Answer:
    return {"status": "success", "result": result, "meta": meta}


def error(**details: Any) -> Answer:
    return {"status": "error", "error_type": "not_found", "details": details, "meta": {}}


RECORD: Final = success({"id": 1}, version=1, sequence=7)
PAGE: Final = success([{"id": 1}], sequence=7)
COUNT: Final = success(4, sequence=7)
TOKEN: Final = success({"token": 3})

ANSWERS: Final = {"record": RECORD, "page": PAGE, "count": COUNT, "token": TOKEN}
KINDS: Final = {
    "storage_save": "record",
    "storage_update": "record",
    "storage_delete": "record",
    "storage_get": "record",
    "storage_list": "page",
    "storage_query": "page",
    "storage_count": "count",
    "lock_acquire": "token",
}


def message(action: str) -> Message:
    return {"action": action, "payload": {}}


def batch(*actions: str) -> Message:
    return {
        "action": "storage_batch",
        "payload": {"operations": [message(action) for action in actions]},
    }


@pytest.mark.parametrize("kind", ANSWERS)
@pytest.mark.parametrize("action", KINDS)
def test_each_action_is_answered_by_its_own_kind_of_result(action: str, kind: str) -> None:
    assert has_shape(message(action), ANSWERS[kind]) == (kind == KINDS[action])


def test_an_error_answers_whatever_was_asked() -> None:
    assert all(has_shape(message(action), error()) for action in [*KINDS, "storage_batch"])


@pytest.mark.parametrize("missing", ["version", "sequence"])
def test_a_record_has_its_version_and_its_place(missing: str) -> None:
    meta = {key: value for key, value in RECORD["meta"].items() if key != missing}
    assert not has_shape(message("storage_save"), success({"id": 1}, **meta))


def test_a_batch_is_answered_one_by_one() -> None:
    asked = batch("storage_save", "storage_count")
    assert has_shape(asked, success([RECORD, COUNT]))
    assert has_shape(asked, success([error(), COUNT]))
    for outcomes in ([RECORD], [RECORD, COUNT, COUNT], [COUNT, RECORD], RECORD["result"], None):
        assert not has_shape(asked, success(outcomes))


def test_only_a_batch_is_refused_for_one_of_its_places() -> None:
    assert has_shape(batch("storage_get"), error(index=0))
    assert not has_shape(batch("storage_get"), error(index=1))
    assert not has_shape(message("storage_get"), error(index=0))
