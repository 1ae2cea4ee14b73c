"""Ways in which a history tells of refusals that nobody earned, and of effects without an answer
that nobody asked for. See tampering.py."""

from collections.abc import Callable
from random import Random
from typing import Any

from tests.chaos.checks import promises
from tests.chaos.checks.steps import READS, UNHEARD_OF
from tests.chaos.history import Exchange, History, Kept
from tests.unit.chaos.checks.tampering import (
    answer_of,
    breaks,
    events_of,
    heard_of,
    published_of,
    successes,
)


def _error(error_type: str, **details: object) -> dict[str, Any]:
    said = {"error": error_type, "error_type": error_type, "details": details}
    return {"status": "error", **said, "meta": {}}


# -- refusals ----------------------------------------------------------------------------------


@breaks(promises.LINEARIZABLE)
def refused_for_nothing(history: History, random: Random) -> bool:
    """By an error that says nothing of the store: it could never be wrong."""
    exchange = random.choice(successes(history, *READS))
    exchange.answer = _error(random.choice(["unknown_action", "forbidden", "too_large"]))
    return True


@breaks(promises.LINEARIZABLE)
def page_refused(history: History, random: Random) -> bool:
    exchange = random.choice(successes(history, *(READS - {"storage_get"})))
    exchange.answer = _error(random.choice(["validation_error", "not_found"]))
    return True


@breaks(promises.LINEARIZABLE)
def batch_refused_without_a_place(history: History, random: Random) -> bool:
    failed = [e for e in history.exchanges if "index" in (e.answer or {}).get("details", ())]
    for exchange in failed:
        answer_of(exchange)["details"].pop("index")
    return bool(failed)


@breaks(promises.LINEARIZABLE)
def operation_of_a_batch_refused_for_nothing(history: History, random: Random) -> bool:
    outcomes = [
        outcome
        for exchange in successes(history, "storage_batch")
        for outcome in answer_of(exchange)["result"]
        if outcome["status"] == "error"
    ]
    for outcome in outcomes:
        outcome["error_type"] = "unknown_action"
    return bool(outcomes)


@breaks(promises.ANSWERED)
def dead_letter_of_nothing_wrong(history: History, random: Random) -> bool:
    exchange = _silent(history)
    kept, event = _made(history, exchange)
    if event is not kept.events[-1]:
        return False
    for told in (events_of(kept), heard_of(kept), published_of(kept)):
        told.pop()
    _records(kept).pop(event["record_id"])
    history.dead_letters[exchange.message["id"]] = "validation_error"
    return True


# -- effects without an answer -----------------------------------------------------------------


@breaks(promises.ONE_EFFECT)
def effect_of_what_had_to_be_refused(history: History, random: Random) -> bool:
    exchange = _silent(history)
    payload = {**exchange.message["payload"], UNHEARD_OF: True}
    exchange.message = {**exchange.message, "payload": payload}
    return True


@breaks(promises.ONE_EFFECT)
def another_effect_in_silence(history: History, random: Random) -> bool:
    def otherwise(event: dict[str, Any]) -> None:
        event["document"]["title"] = "of somebody else"

    return _change(history, otherwise)


@breaks(promises.UNIQUE_IDS)
def id_left_out_in_silence(history: History, random: Random) -> bool:
    def otherwise(event: dict[str, Any]) -> None:
        event["record_id"] = event["document"]["id"] = event["document"]["id"] + 1_000

    return _change(history, otherwise)


def _silent(history: History) -> Exchange:
    """The last save without an id, as if it had asked for no answer."""
    saves = [
        e for e in successes(history, "storage_save") if "id" not in e.message["payload"]["task"]
    ]
    exchange = max(saves, key=lambda exchange: answer_of(exchange)["meta"]["sequence"])
    exchange.answer = exchange.answered_at = None
    exchange.expects = "effect"
    return exchange


def _made(history: History, exchange: Exchange) -> tuple[Kept, dict[str, Any]]:
    kept = history.kept[exchange.message["payload"]["collection"]]
    made = exchange.message["id"]
    return kept, next(event for event in events_of(kept) if event["message_id"] == made)


def _records(kept: Kept) -> dict[Any, Any]:
    assert isinstance(kept.records, dict)
    return kept.records


def _change(history: History, otherwise: Callable[[dict[str, Any]], None]) -> bool:
    """Change what a silent save made, wherever it is told."""
    exchange = _silent(history)
    kept, event = _made(history, exchange)
    about: int = event["record_id"]
    if any(e["record_id"] == about for e in kept.events[event["sequence"] :]):
        return False
    for told in (events_of(kept), heard_of(kept), published_of(kept)):
        otherwise(told[event["sequence"] - 1])
    _records(kept).pop(about)
    _records(kept)[event["record_id"]] = event["document"]
    assert isinstance(kept.versions, dict)
    kept.versions[event["record_id"]] = kept.versions.pop(about)
    return True
