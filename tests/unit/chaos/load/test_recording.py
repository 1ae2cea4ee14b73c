"""What ends an exchange, and what contradicts it."""

from typing import Any

import pytest

from tests.chaos.history import Answer, Exchange, Message
from tests.chaos.load.recording import NOT_FINAL, Recorder


def save(name: str = "m-1") -> Message:
    return {"id": name, "action": "storage_save", "payload": {"task": {}}}


def success(version: int = 1, **meta: Any) -> Answer:
    meta = {"version": version, "sequence": 7, **meta}
    return {"status": "success", "result": {"id": 1}, "meta": meta}


def error(error_type: str) -> Answer:
    return {
        "status": "error",
        "error": "no",
        "error_type": error_type,
        "details": {},
        "meta": {},
    }


def begun(message: Message) -> tuple[Recorder, Exchange]:
    recorder = Recorder()
    return recorder, recorder.begin(message)


@pytest.mark.parametrize("error_type", sorted(NOT_FINAL))
def test_what_is_not_kept_with_the_message_ends_nothing(error_type: str) -> None:
    recorder, exchange = begun(save())
    assert not recorder.take(exchange, error(error_type))
    assert (exchange.answer, recorder.unanswered) == (None, 1)
    assert recorder.refusals[error_type] == 1


def test_the_first_answer_stays_and_another_one_contradicts_it() -> None:
    recorder, exchange = begun(save())
    assert recorder.take(exchange, success(1))
    assert recorder.take(exchange, success(1, replayed=True, cancel="too_late"))
    assert exchange.contradictions == []
    recorder.take(exchange, success(2, replayed=True))
    assert exchange.answer == success(1)
    assert exchange.contradictions == [success(2, replayed=True)]
    assert recorder.answered == 1


def test_a_read_may_be_answered_otherwise_each_time() -> None:
    recorder, exchange = begun({"id": "m-1", "action": "storage_get", "payload": {"task_id": 1}})
    recorder.take(exchange, success(1))
    recorder.take(exchange, success(2))
    assert exchange.contradictions == []


def test_what_was_executed_before_its_deadline_never_expires() -> None:
    recorder, exchange = begun(save())
    recorder.take(exchange, success())
    recorder.take(exchange, error("expired"))
    assert exchange.contradictions == []  # of an attempt that came before: nobody knows
    recorder.never_expired(exchange)
    recorder.take(exchange, error("expired"))
    assert exchange.contradictions == [error("expired")]


def test_what_names_nobody_to_answer_is_not_waited_for() -> None:
    recorder, exchange = begun(save())
    recorder.expect_effect(exchange)
    assert (exchange.expects, recorder.unanswered) == ("effect", 0)


def test_another_message_under_a_used_id_is_a_conflict() -> None:
    recorder, exchange = begun(save())
    recorder.take(exchange, success())
    recorder.take_other(exchange, error("conflict"))
    recorder.take_other(exchange, error("unavailable"))
    assert exchange.contradictions == []
    recorder.take_other(exchange, success())
    assert exchange.contradictions == [success()]


def test_an_answer_to_another_message_ends_nothing_and_is_a_contradiction() -> None:
    recorder, exchange = begun(save())
    page = {"status": "success", "result": [], "meta": {"sequence": 7}}
    assert not recorder.take(exchange, page)
    assert (exchange.answer, exchange.contradictions) == (None, [page])
    assert recorder.take(exchange, success())
    assert (exchange.answer, exchange.contradictions) == (success(), [page])
