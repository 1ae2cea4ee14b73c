"""Histories that keep every promise: no check may object."""

from time import process_time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.chaos.checks.check import check
from tests.chaos.checks.promises import ANSWERED
from tests.chaos.checks.steps import UNHEARD_OF
from tests.chaos.history import Exchange, History, Kept
from tests.unit.chaos.checks.honest import HonestStore, honest_history


@given(seed=st.integers(0, 2**32))
@settings(max_examples=15, deadline=None)
def test_a_correct_history_breaks_no_promise(seed: int) -> None:
    assert check(honest_history(seed)) == []


def test_an_empty_history_breaks_no_promise() -> None:
    assert check(History([], {"tasks": Kept({}, {}, [], [])})) == []


def test_what_is_drawn_holds_everything_that_is_checked() -> None:
    history = honest_history(1, 1_000)
    told = {
        (e.message["action"], e.answer["status"], e.answer.get("error_type"))
        for e in history.exchanges
        if e.answer is not None
    }
    for action in ("save", "get", "update", "delete", "batch", "list", "query", "count"):
        assert (f"storage_{action}", "success", None) in told
    for error_type in ("not_found", "conflict", "validation_error"):
        assert ("storage_update", "error", error_type) in told
    assert ("storage_batch", "error", "not_found") in told
    assert ("lock_release", "success", None) in told
    fences = [e for e in history.exchanges if "fence" in e.message["payload"]]
    assert {e.answer["status"] for e in fences if e.answer} == {"success", "error"}


def test_a_dead_letter_needs_no_answer_and_may_have_an_effect() -> None:
    history = honest_history(5)
    letter = _without_answer(history)

    assert check(history) != []
    history.dead_letters[letter.message["id"]] = "delivery_limit"
    assert check(history) == []


def test_what_was_published_more_than_once_breaks_no_promise() -> None:
    history = honest_history(6)
    for kept in history.kept.values():
        assert isinstance(kept.published, list)
        kept.published[10:10] = kept.published[4:10]
    assert check(history) == []


def test_what_was_sent_once_needs_an_effect_or_a_dead_letter() -> None:
    history = honest_history(5)
    _without_answer(history).expects = "effect"
    assert check(history) == []

    message = history.exchanges[0].message
    payload = {**message["payload"], UNHEARD_OF: True}
    refused = Exchange({**message, "id": "refused", "payload": payload}, 1.0, expects="effect")
    history.exchanges.append(refused)
    assert [violation.promise for violation in check(history)] == [ANSWERED]
    history.dead_letters["refused"] = "validation_error"
    assert check(history) == []


def test_what_is_refused_for_what_it_says_depends_on_no_record() -> None:
    history = honest_history(5)
    saved = _without_answer(history)
    kept = history.kept[saved.message["payload"]["collection"]]
    said = {**saved.message["payload"], UNHEARD_OF: True}
    refused = Exchange({**saved.message, "id": "refused", "payload": said}, 1.0, 2.0)
    refused.answer = {
        "status": "error",
        "error": "unheard of",
        "error_type": "validation_error",
        "details": {"errors": []},
        "meta": {},
    }
    history.exchanges.append(refused)
    history.dead_letters[saved.message["id"]] = "delivery_limit"
    assert kept.events
    assert check(history) == []


def test_answers_about_a_collection_that_was_not_read_are_no_pass() -> None:
    history = honest_history(5)
    history.kept.pop("people")
    with pytest.raises(ValueError, match="people was not read"):
        check(history)


def test_large_histories_are_checked_in_seconds() -> None:
    history = honest_history(7, 3_000)
    began_at = process_time()
    assert check(history) == []
    assert process_time() - began_at < 5  # it is a fraction of a second


def _without_answer(history: History) -> Exchange:
    """The last save without an id, as if its answer had been lost for good."""
    found = next(
        exchange
        for exchange in reversed(history.exchanges)
        if exchange.message["action"] == "storage_save"
        and "id" not in exchange.message["payload"]["task"]
    )
    found.answer = found.answered_at = None
    return found


def test_a_cursor_that_is_told_again_leads_on_from_the_page_that_told_it_first() -> None:
    """The record at which it stands was removed meanwhile, and made anew later."""
    first = {"limit": 2}
    store, exchanges = HonestStore(), list[Exchange]()

    def ask(action: str, **payload: Any) -> Any:
        number = len(exchanges)
        message: dict[str, Any] = {"id": f"m{number}", "sender": "load", "recipient": "storage"}
        message |= {"action": action, "payload": {"collection": "people", **payload}}
        answer = store.execute(message)
        exchanges.append(Exchange(message, number, number + 0.5, answer))
        return answer

    for _record in range(3):
        ask("storage_save", task={"title": "kelp"})
    cursor = ask("storage_list", **first)["meta"]["next_cursor"]
    ask("storage_delete", task_id=2)
    ask("storage_list", **first, cursor=cursor)
    ask("storage_save", task={"id": 2, "title": "kelp"})
    assert ask("storage_list", **first)["meta"]["next_cursor"] == cursor

    assert check(History(exchanges, {"people": store.kept("people")})) == []
