"""More ways to make a history wrong: what was read, refused, told, heard and locked."""

from random import Random
from typing import Any

from tests.chaos.checks import promises
from tests.chaos.checks.steps import WRITES
from tests.chaos.history import Exchange, History
from tests.unit.chaos.checks.tampering import (
    answer_of,
    any_kept,
    breaks,
    events_of,
    heard_of,
    published_of,
    successes,
)

# -- what was read -----------------------------------------------------------------------------


@breaks(promises.LINEARIZABLE)
def stale_read(history: History, random: Random) -> bool:
    """What was true before the question was asked: change 1 by then long gone."""
    exchange = successes(history, "storage_get", "storage_list", "storage_count")[-1]
    collection = exchange.message["payload"]["collection"]
    before = [
        answer_of(e)["meta"]["sequence"]
        for e in successes(history, *WRITES)
        if e.message["payload"]["collection"] == collection
        and e.answered_at is not None
        and e.answered_at < exchange.asked_at
    ]
    answer_of(exchange)["meta"]["sequence"] = 1
    return bool(before) and max(before) > 1


@breaks(promises.LINEARIZABLE)
def wrong_document_read(history: History, random: Random) -> bool:
    exchange = random.choice(successes(history, "storage_get"))
    answer_of(exchange)["result"]["title"] = "something else"
    return True


@breaks(promises.LINEARIZABLE)
def other_type_read(history: History, random: Random) -> bool:
    """1 for 1.0, as a careless decoder has it."""
    for exchange in successes(history, "storage_get"):
        if answer_of(exchange)["result"].get("weight") == 1.0:
            answer_of(exchange)["result"]["weight"] = 1
            return True
    return False


@breaks(promises.LINEARIZABLE)
def record_missing_in_a_page(history: History, random: Random) -> bool:
    pages = successes(history, "storage_list", "storage_query")
    full = [e for e in pages if len(answer_of(e)["result"]) > 1]
    if not full:
        return False
    answer_of(random.choice(full))["result"].pop(0)
    return True


@breaks(promises.LINEARIZABLE)
def miscounted(history: History, random: Random) -> bool:
    counts = successes(history, "storage_count")
    if not counts:
        return False
    answer_of(random.choice(counts))["result"] += 1
    return True


@breaks(promises.LINEARIZABLE)
def page_without_its_end(history: History, random: Random) -> bool:
    for exchange in successes(history, "storage_list", "storage_query"):
        if answer_of(exchange)["meta"]["next_cursor"] is not None:
            answer_of(exchange)["meta"]["next_cursor"] = None
            return True
    return False


@breaks(promises.LINEARIZABLE)
def lost_update(history: History, random: Random) -> bool:
    """Two counted up from the same number."""
    ups = [
        e
        for e in successes(history, "storage_update")
        if e.message["payload"].get("increment") == {"hits": 1}
    ]
    answer_of(random.choice(ups))["result"]["hits"] -= 1
    return True


@breaks(promises.LINEARIZABLE)
def answered_before_it_was_written(history: History, random: Random) -> bool:
    """The first change, asked for when everything was over."""
    exchange = successes(history, "storage_save")[0]
    exchange.asked_at, exchange.answered_at = 1e9, 2e9
    return True


# -- what was refused --------------------------------------------------------------------------


@breaks(promises.LINEARIZABLE)
def not_found_though_there(history: History, random: Random) -> bool:
    """A counter, which nobody ever deletes."""
    exchange = random.choice(successes(history, "storage_get"))
    exchange.message["payload"]["task_id"] = "c1"
    exchange.answer = _refused("not_found")
    return exchange.asked_at > 100


@breaks(promises.LINEARIZABLE)
def conflict_without_one(history: History, random: Random) -> bool:
    for exchange in history.exchanges:
        answer: Any = exchange.answer
        if answer is not None and "current_version" in answer.get("details", {}):
            answer["details"]["current_version"] += 1_000
            return True
    return False


@breaks(promises.LINEARIZABLE)
def succeeded_at_another_version(history: History, random: Random) -> bool:
    updates = successes(history, "storage_update")
    exchange = random.choice(updates)
    exchange.message["payload"]["if_version"] = 1_000
    return True


# -- what was told -----------------------------------------------------------------------------


@breaks(promises.EVENTS)
def event_missing(history: History, random: Random) -> bool:
    events = events_of(any_kept(history, random))
    events.pop(random.randrange(len(events)))
    return True


@breaks(promises.EVENTS)
def event_out_of_order(history: History, random: Random) -> bool:
    events = events_of(any_kept(history, random))
    place = random.randrange(len(events) - 1)
    events[place], events[place + 1] = events[place + 1], events[place]
    return True


@breaks(promises.EVENTS)
def event_twice(history: History, random: Random) -> bool:
    events = events_of(any_kept(history, random))
    place = random.randrange(len(events))
    events.insert(place, events[place])
    return True


@breaks(promises.EVENTS)
def event_with_a_wrong_document(history: History, random: Random) -> bool:
    event = random.choice(events_of(any_kept(history, random)))
    event["document"] = {**event["document"], "title": "something else"}
    return True


@breaks(promises.EVENTS)
def event_of_another_kind(history: History, random: Random) -> bool:
    event = random.choice(events_of(any_kept(history, random)))
    event["kind"] = "deleted" if event["kind"] != "deleted" else "updated"
    return True


@breaks(promises.KEPT)
def change_under_another_name(history: History, random: Random) -> bool:
    """What was acknowledged is not there: in its place stands what somebody else did."""
    events = events_of(any_kept(history, random))
    makers = [event["message_id"] for event in events]
    place = random.choice([n for n in range(1, len(events)) if makers[n] != makers[n - 1]])
    events[place]["message_id"] = makers[place - 1]
    return True


@breaks(promises.HEARD)
def not_heard(history: History, random: Random) -> bool:
    heard = heard_of(any_kept(history, random))
    heard.pop(random.randrange(len(heard)))
    return True


@breaks(promises.HEARD)
def heard_twice(history: History, random: Random) -> bool:
    heard = heard_of(any_kept(history, random))
    place = random.randrange(len(heard))
    heard.insert(place, heard[place])
    return True


@breaks(promises.HEARD)
def heard_otherwise(history: History, random: Random) -> bool:
    event = random.choice(heard_of(any_kept(history, random)))
    event["document"] = {**event["document"], "title": "something else"}
    return True


@breaks(promises.PUBLISHED)
def not_published(history: History, random: Random) -> bool:
    published = published_of(any_kept(history, random))
    published.pop(random.randrange(len(published)))
    return True


@breaks(promises.PUBLISHED)
def published_too_early(history: History, random: Random) -> bool:
    published = published_of(any_kept(history, random))
    place = random.randrange(len(published) - 1)
    published[place], published[place + 1] = published[place + 1], published[place]
    return True


@breaks(promises.PUBLISHED)
def published_otherwise(history: History, random: Random) -> bool:
    event = random.choice(published_of(any_kept(history, random)))
    event["version"] += 1
    return True


# -- what was locked ---------------------------------------------------------------------------


@breaks(promises.LOCKED)
def token_given_twice(history: History, random: Random) -> bool:
    one, other = successes(history, "lock_acquire")[:2]
    answer_of(other)["result"]["token"] = answer_of(one)["result"]["token"]
    return True


@breaks(promises.LOCKED)
def token_that_falls(history: History, random: Random) -> bool:
    acquired = successes(history, "lock_acquire")
    one, other = acquired[0], acquired[-1]
    answer_of(one)["result"]["token"] += 1_000
    return one.answered_at is not None and one.answered_at < other.asked_at


@breaks(promises.LOCKED)
def write_of_an_old_holder(history: History, random: Random) -> bool:
    first, second = _fenced(history)[0], _fenced(history)[-1]
    token = first.message["payload"]["fence"]["token"]
    if token == second.message["payload"]["fence"]["token"]:
        return False
    second.message["payload"]["fence"]["token"] = token
    return True


@breaks(promises.LOCKED)
def refused_for_nobody(history: History, random: Random) -> bool:
    first = successes(history, "lock_acquire")[0]
    first.answer = _refused("conflict")
    others = successes(history, "lock_acquire")
    assert first.answered_at is not None
    return all(other.asked_at > first.answered_at for other in others)


@breaks(promises.LOCKED)
def second_holder(history: History, random: Random) -> bool:
    """While the first still had it by any clock."""
    one, other = successes(history, "lock_acquire")[:2]
    for release in successes(history, "lock_release", "lock_renew"):
        history.exchanges.remove(release)
    assert other.answered_at is not None
    lasting = {"lease_seconds": other.answered_at - one.asked_at + 1}
    one.message["payload"].update(lasting)
    return True


@breaks(promises.LOCKED)
def lease_without_an_end(history: History, random: Random) -> bool:
    """Of one who never gave it back, when everything was over."""
    last = successes(history, "lock_acquire")[-1]
    message = {**last.message, "id": "late", "payload": {**last.message["payload"]}}
    history.exchanges.append(Exchange(message, 1e9, 2e9, _refused("conflict")))
    return True


def _fenced(history: History) -> list[Exchange]:
    return [e for e in successes(history, "storage_update") if "fence" in e.message["payload"]]


def _refused(error_type: str) -> dict[str, Any]:
    return {
        "status": "error",
        "error": error_type,
        "error_type": error_type,
        "details": {},
        "meta": {},
    }
