"""Replaying journals: in the order of execution, each exchange once, with its causes named."""

from datetime import timedelta
from typing import Any

import pytest
from pydantic import JsonValue

from holdfast_agents.replay import Comparison, Replayer, Report, read_entries
from holdfast_protocol.logs import LoggedExchange, write_exchange
from holdfast_protocol.messages import AgentMessage, AgentResponse
from tests.unit.replay.targets import MOMENT, FakeTarget


def journaled(name: str, order: JsonValue, **fields: Any) -> bytes:
    """A line of a journal; `fields` are of the answer."""
    message = AgentMessage(action="storage_save", payload={"n": 1}, id=name, sender="me")
    told = {"status": "success", "result": {"n": 1}, "in_reply_to": name, "id": f"answer-{name}"}
    response = AgentResponse.model_validate({**told, **fields})
    extra = {"order": order}
    return write_exchange(LoggedExchange("storage", message, response, MOMENT, extra))


async def replayed(target: FakeTarget, *lines: bytes) -> Report:
    return await Replayer(target, comparison=Comparison()).run(read_entries(lines))


def sent(target: FakeTarget) -> list[str]:
    return [message.id for batch in target.batches for message in batch]


async def test_the_order_of_execution_is_restored() -> None:
    target = FakeTarget()
    report = await replayed(
        target,
        journaled("c2", {"a": [2, 1]}),
        journaled("c3", {"a": [3, 1]}),
        journaled("c1", {"a": [1, 1]}),
    )
    assert sent(target) == ["c1", "c2", "c3"]
    assert report.ok


async def test_what_was_appended_twice_is_executed_once() -> None:
    target = FakeTarget()
    lines = [journaled("c1", {"a": [1, 1]}), journaled("c2", {"a": [2, 1]})]
    report = await replayed(target, *lines, *lines)
    assert sent(target) == ["c1", "c2"]
    assert (report.repeats, report.replayed) == (2, 2)


async def test_the_size_of_all_lines_is_told_as_progress() -> None:
    done: list[int] = []
    refused = {"status": "error", "error": "no", "error_type": "unavailable", "result": None}
    lines = [journaled("c1", {"a": [1, 1]})] * 2 + [journaled("c2", None, **refused)]
    await Replayer(FakeTarget(), on_progress=done.append).run(read_entries(lines))
    assert sum(done) == sum(map(len, lines))


@pytest.mark.parametrize("error_type", ["unavailable", "overloaded", "rate_limited", "cancelled"])
async def test_what_was_not_executed_is_not_sent(error_type: str) -> None:
    target = FakeTarget()
    refused = {"status": "error", "error": "no", "error_type": error_type, "result": None}
    report = await replayed(target, journaled("c1", None, **refused))
    assert sent(target) == []
    assert report.withheld == {error_type: 1}
    assert report.ok


async def test_dead_letters_are_left_alone() -> None:
    target = FakeTarget()
    message = AgentMessage(action="agent_dead_letters_purge", payload={"all": True})
    response = AgentResponse(status="success", result={})
    report = await replayed(target, write_exchange(LoggedExchange("storage", message, response)))
    assert sent(target) == []
    assert report.withheld == {"agent_dead_letters_purge": 1}


async def test_a_stored_answer_whose_first_telling_is_lost_is_expected_as_the_first() -> None:
    stored = {"meta": {"replayed": True, "sequence": 1}}
    report = await replayed(FakeTarget(), journaled("lost", {"a": [1, 0]}, **stored))
    assert report.ok


# -- what the log lacks --------------------------------------------------------------------------


async def test_a_log_that_begins_late_is_named_as_the_cause() -> None:
    line = journaled("c9", {"tasks": [9, 1], "$locks": [4, 0]}, result={"n": 2})
    report = await replayed(FakeTarget(), line)
    assert report.begins_late == {"tasks": 9}
    assert report.samples[0].hint is not None
    assert "the log does not tell how tasks began" in report.samples[0].hint


async def test_a_batch_begins_as_early_as_its_changes_allow() -> None:
    operations: list[JsonValue] = [{"action": "storage_save", "payload": {}}] * 3
    message = AgentMessage(action="storage_batch", payload={"operations": operations}, id="b")
    response = AgentResponse(status="success", result={"operations": operations}, in_reply_to="b")
    extra: dict[str, JsonValue] = {"order": {"tasks": [3, 1]}}
    line = write_exchange(LoggedExchange("storage", message, response, extra=extra))
    report = await replayed(FakeTarget(), line)
    assert report.ok
    assert report.begins_late == {}


async def test_a_store_that_held_something_is_named_as_the_cause() -> None:
    target = FakeTarget()
    target.collections = [{"collection": "tasks", "count": 3}]
    report = await replayed(target, journaled("c1", {"a": [1, 1]}, result={"n": 2}))
    assert report.samples[0].hint == (
        "the store was not empty: it held tasks; replay on an empty one"
    )


async def test_a_message_that_is_expected_to_be_known_is_named_as_unknown() -> None:
    first = journaled("m", {"a": [1, 1]})
    again = journaled("m", {"a": [1, 0]}, meta={"replayed": True}, id="second")
    report = await replayed(FakeTarget(), first, again)  # which knows nothing
    assert report.samples[0].hint == (
        "the store does not know the first telling of this message: the log lacks it"
    )


async def test_a_difference_without_a_typical_cause_has_no_hint() -> None:
    report = await replayed(FakeTarget(), journaled("c1", {"a": [1, 1]}, result={"n": 2}))
    assert report.samples[0].hint is None


# -- time ------------------------------------------------------------------------------------------


def timed(name: str, seconds: float, expires: float | None = None) -> bytes:
    """A line of a moment; it makes something that expires when that is given."""
    payload: dict[str, JsonValue] = (
        {"n": 1} if expires is None else {"n": 1, "ttl_seconds": expires}
    )
    message = AgentMessage(action="storage_save", payload=payload, id=name)
    meta: dict[str, JsonValue] = {}
    if expires is not None:
        meta["expires_at"] = (MOMENT + timedelta(seconds=expires)).isoformat()
    response = AgentResponse(status="success", result=payload, meta=meta, in_reply_to=name)
    at = MOMENT + timedelta(seconds=seconds)
    return write_exchange(LoggedExchange("storage", message, response, at))


async def test_messages_go_together_over_no_expiry() -> None:
    target = FakeTarget()
    await replayed(
        target,
        timed("lasting", 0, expires=10),
        timed("a", 1),
        timed("b", 2),
        timed("near", 9.5),
        timed("nearer", 9.9),
        timed("after", 30),
        timed("long after", 60),
    )
    assert target.sizes == [1, 2, 1, 1, 2]


async def test_after_an_expiry_that_nobody_knows_only_one_moment_goes_together() -> None:
    target = FakeTarget()
    unknown = timed("lasting", 0, expires=10).replace(b"expires_at", b"expired_at")
    await replayed(target, unknown, timed("a", 1), timed("b", 1), timed("c", 2))
    assert target.sizes == [1, 2, 1]
