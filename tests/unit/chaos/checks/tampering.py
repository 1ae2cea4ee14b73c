"""Ways in which a history that was right is made wrong, and the promise that each breaks.

Each gets a history and a Random, changes the history, and returns False where it cannot: then
there is nothing of that kind in it.
"""

from collections.abc import Callable
from random import Random
from typing import Any, Final

from tests.chaos.checks import promises
from tests.chaos.checks.steps import READS, WRITES
from tests.chaos.history import Exchange, History, Kept

Tampering = Callable[[History, Random], bool]
TAMPERINGS: Final[dict[str, tuple[Tampering, str]]] = {}


def breaks(promise: str) -> Callable[[Tampering], Tampering]:
    """Register a way to break a promise."""

    def register(tampering: Tampering) -> Tampering:
        TAMPERINGS[tampering.__name__] = (tampering, promise)
        return tampering

    return register


def successes(history: History, *actions: str) -> list[Exchange]:
    """The exchanges with these actions that succeeded."""
    return [
        exchange
        for exchange in history.exchanges
        if exchange.message["action"] in actions
        and exchange.answer is not None
        and exchange.answer["status"] == "success"
    ]


def answer_of(exchange: Exchange) -> dict[str, Any]:
    """The answer, to be changed."""
    assert isinstance(exchange.answer, dict)
    return exchange.answer


def events_of(kept: Kept) -> list[Any]:
    """The events, to be changed."""
    assert isinstance(kept.events, list)
    return kept.events


def heard_of(kept: Kept) -> list[Any]:
    """What was heard, to be changed."""
    assert isinstance(kept.heard, list)
    return kept.heard


def published_of(kept: Kept) -> list[Any]:
    """What was published, to be changed."""
    assert isinstance(kept.published, list)
    return kept.published


def any_kept(history: History, random: Random) -> Kept:
    """One of the collections."""
    return history.kept[random.choice(sorted(history.kept))]


# -- answers -----------------------------------------------------------------------------------


@breaks(promises.ANSWERED)
def unanswered(history: History, random: Random) -> bool:
    exchange = random.choice(history.exchanges)
    exchange.answer = exchange.answered_at = None
    return True


@breaks(promises.ANSWERED)
def left_in_the_queue(history: History, random: Random) -> bool:
    history.left_in_queues = 1
    return True


@breaks(promises.ANSWERED)
def lost_though_confirmed(history: History, random: Random) -> bool:
    exchange = random.choice(successes(history, "storage_get"))
    exchange.expects, exchange.answer, exchange.answered_at = "effect", None, None
    return True


@breaks(promises.SAME_ANSWER)
def answered_otherwise(history: History, random: Random) -> bool:
    exchange = random.choice(successes(history, *WRITES))
    answer = answer_of(exchange)
    other = {**answer, "meta": {**answer["meta"], "version": answer["meta"]["version"] + 1}}
    exchange.contradictions.append(other)
    return True


# -- effects -----------------------------------------------------------------------------------


@breaks(promises.KEPT)
def record_lost(history: History, random: Random) -> bool:
    kept = any_kept(history, random)
    assert isinstance(kept.records, dict)
    kept.records.pop(random.choice(list(kept.records)))
    return True


@breaks(promises.KEPT)
def deletion_lost(history: History, random: Random) -> bool:
    kept = any_kept(history, random)
    deleted = [e for e in kept.events if e["kind"] == "deleted"]
    gone = [e for e in deleted if e["record_id"] not in kept.records]
    if not gone:
        return False
    event = random.choice(gone)
    assert isinstance(kept.records, dict)
    assert isinstance(kept.versions, dict)
    kept.records[event["record_id"]] = event["document"]
    kept.versions[event["record_id"]] = event["version"]
    return True


@breaks(promises.KEPT)
def last_update_lost(history: History, random: Random) -> bool:
    kept = any_kept(history, random)
    changed = [record_id for record_id, version in kept.versions.items() if version > 1]
    record_id = random.choice(changed)
    earlier = [e for e in kept.events if e["record_id"] == record_id][-2]
    assert isinstance(kept.records, dict)
    assert isinstance(kept.versions, dict)
    kept.records[record_id] = earlier["document"]
    kept.versions[record_id] = earlier["version"]
    return True


@breaks(promises.KEPT)
def record_of_nobody(history: History, random: Random) -> bool:
    kept = any_kept(history, random)
    assert isinstance(kept.records, dict)
    kept.records["nobody's"] = {"id": "nobody's"}
    return True


@breaks(promises.ONE_EFFECT)
def effect_twice(history: History, random: Random) -> bool:
    """Executed once more: a change, an event and a version more, and the answer of the first."""
    kept = any_kept(history, random)
    told = {e.message["id"] for e in successes(history, "storage_update")}
    last = [e for e in kept.events if e["message_id"] in told][-1]
    events, heard = events_of(kept), heard_of(kept)
    event = {**last, "sequence": len(events) + 1, "id": f"{last['collection']}/{len(events) + 1}"}
    events.append(event)
    heard.append(event)
    return True


@breaks(promises.CANCELLED)
def effect_of_a_cancelled_message(history: History, random: Random) -> bool:
    return _failed_after_all(history, random, "cancelled")


@breaks(promises.ONE_EFFECT)
def effect_of_a_failure(history: History, random: Random) -> bool:
    return _failed_after_all(history, random, "not_found")


def _failed_after_all(history: History, random: Random, error_type: str) -> bool:
    kept = any_kept(history, random)
    made = {event["message_id"] for event in kept.events}
    updates = [e for e in successes(history, "storage_update") if e.message["id"] in made]
    exchange = random.choice(updates)
    exchange.cancel_asked = error_type == "cancelled"
    exchange.answer = {
        "status": "error",
        "error": error_type,
        "error_type": error_type,
        "details": {},
        "meta": {},
    }
    return True


@breaks(promises.LINEARIZABLE)
def cancelled_by_nobody(history: History, random: Random) -> bool:
    exchange = random.choice(successes(history, "storage_get"))
    exchange.answer = {**answer_of(exchange), "status": "error", "error_type": "cancelled"}
    exchange.answer["details"] = {}
    return True


@breaks(promises.WHOLE_BATCH)
def part_of_a_batch(history: History, random: Random) -> bool:
    for exchange in successes(history, "storage_batch"):
        events = [
            (kept, event)
            for kept in history.kept.values()
            for event in kept.events
            if event["message_id"] == exchange.message["id"]
        ]
        if exchange.message["payload"]["atomic"] and len(events) > 1:
            kept, event = random.choice(events)
            events_of(kept).remove(event)
            return True
    return False


@breaks(promises.WHOLE_BATCH)
def batch_taken_apart(history: History, random: Random) -> bool:
    """Somebody else's change in the middle."""
    for exchange in successes(history, "storage_batch"):
        if not exchange.message["payload"]["atomic"]:
            continue
        operations = exchange.message["payload"]["operations"]
        results = answer_of(exchange)["result"]
        own = [
            result["meta"]
            for operation, result in zip(operations, results, strict=True)
            if operation["action"] in WRITES
            and operation["payload"]["collection"] == exchange.message["payload"]["collection"]
        ]
        if len(own) > 1:
            own[-1]["sequence"] += 1
            return True
    return False


# -- ids, versions, sequences ------------------------------------------------------------------


@breaks(promises.UNIQUE_IDS)
def id_given_twice(history: History, random: Random) -> bool:
    saves = [
        e for e in successes(history, "storage_save") if "id" not in e.message["payload"]["task"]
    ]
    first = saves[0]
    about = first.message["payload"]["collection"]
    second = next(e for e in saves[1:] if e.message["payload"]["collection"] == about)
    answer_of(second)["result"]["id"] = answer_of(first)["result"]["id"]
    return True


@breaks(promises.VERSIONS)
def version_skipped(history: History, random: Random) -> bool:
    exchange = random.choice(successes(history, "storage_save", "storage_update"))
    answer_of(exchange)["meta"]["version"] += 1
    return True


@breaks(promises.SEQUENCES)
def sequence_skipped(history: History, random: Random) -> bool:
    """Nobody knows of one change."""
    kept = any_kept(history, random)
    made = {event["message_id"]: event for event in kept.events}
    alone = [e for e in successes(history, *WRITES) if e.message["id"] in made]
    exchange = random.choice(alone)
    events_of(kept).remove(made[exchange.message["id"]])
    exchange.answer = exchange.answered_at = None
    gone: int = made[exchange.message["id"]]["sequence"]
    last: int = kept.events[-1]["sequence"]
    return gone < last


@breaks(promises.SEQUENCES)
def sequence_given_twice(history: History, random: Random) -> bool:
    updates = successes(history, "storage_update")
    exchange = random.choice(updates)
    answer = answer_of(exchange)
    if answer["meta"]["sequence"] < 2:
        return False
    answer["meta"]["sequence"] -= 1
    about = exchange.message["payload"]["collection"]
    told = [e for e in successes(history, *WRITES) if e.message["payload"]["collection"] == about]
    sequences = [answer_of(e)["meta"]["sequence"] for e in told]
    return len(set(sequences)) < len(sequences)


@breaks(promises.SEQUENCES)
def change_of_nobody(history: History, random: Random) -> bool:
    event = random.choice(events_of(any_kept(history, random)))
    event["message_id"] = "nobody's"
    return True


@breaks(promises.SEQUENCES)
def read_of_what_never_was(history: History, random: Random) -> bool:
    reads = successes(history, *READS)
    answer_of(random.choice(reads))["meta"]["sequence"] = 10_000
    return True
