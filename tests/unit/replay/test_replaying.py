"""Replaying: in the log's order, in batches that change no answer."""

from datetime import UTC, datetime, timedelta

import pytest

from holdfast_agents.replay import (
    BadLine,
    Comparison,
    LaterVersionError,
    LogEntry,
    Replayer,
    ReplayError,
    Report,
    read_entries,
)
from holdfast_agents.replay.batching import BATCH_MESSAGES
from holdfast_protocol.errors import RequestTimeoutError
from holdfast_protocol.messages import AgentMessage, AgentResponse
from tests.unit.replay.targets import MOMENT, FakeTarget, line


def message(number: int, **fields: object) -> AgentMessage:
    return AgentMessage.model_validate(
        {"action": "storage_get", "payload": {"task_id": number}, "id": f"m{number}", **fields}
    )


async def replayed(target: FakeTarget, *lines: bytes, compare: bool = True) -> Report:
    comparison = Comparison() if compare else None
    return await Replayer(target, comparison=comparison).run(read_entries(lines))


# -- reading -----------------------------------------------------------------------------------


def test_a_broken_line_hides_none_of_the_others() -> None:
    lines = [line(message(1)), b"\n", b'{"v":1,"at"\n', line(message(2)), line(message(3))[:40]]
    entries = list(read_entries(lines))
    assert [type(entry) for entry in entries] == [LogEntry, BadLine, LogEntry, BadLine]
    assert [entry.number for entry in entries] == [1, 3, 4, 5]


def test_a_later_version_is_refused_with_its_line() -> None:
    later = line(message(2)).replace(b'"v":1', b'"v":2')
    with pytest.raises(LaterVersionError, match="line 2 is of version 2"):
        list(read_entries([line(message(1)), later]))


# -- order and batches -------------------------------------------------------------------------


async def test_the_order_of_the_log_is_kept_in_bounded_batches() -> None:
    target = FakeTarget()
    count = BATCH_MESSAGES * 2 + 3
    report = await replayed(target, *(line(message(number)) for number in range(count)))
    sent = [one.id for batch in target.batches for one in batch]
    assert sent == [f"m{number}" for number in range(count)]
    assert target.sizes == [BATCH_MESSAGES, BATCH_MESSAGES, 3]
    assert (report.replayed, report.compared, report.ok) == (count, count, True)


async def test_a_repeated_message_begins_a_batch() -> None:
    target = FakeTarget()
    await replayed(target, line(message(1)), line(message(2)), line(message(1)))
    assert target.sizes == [2, 1]


async def test_once_records_may_expire_only_one_moment_is_executed_together() -> None:
    target = FakeTarget()
    later = MOMENT + timedelta(seconds=5)
    lasting = AgentMessage(
        action="storage_save", payload={"task": {}, "ttl_seconds": 3}, id="lasting"
    )
    await replayed(
        target,
        line(message(1)),
        line(message(2), at=later),  # nothing can have expired yet
        line(lasting, at=later),
        line(message(3), at=later),
        line(message(4), at=later + timedelta(seconds=9)),
    )
    assert target.sizes == [2, 2, 1]
    assert target.moments == [MOMENT, later, later + timedelta(seconds=9)]


async def test_a_deadline_that_was_kept_does_not_count_again() -> None:
    target = FakeTarget()
    deadline = datetime(2026, 3, 1, 13, 0, tzinfo=UTC)
    expired = AgentResponse(status="error", error="late", error_type="expired")
    await replayed(
        target,
        line(message(1, deadline=deadline)),
        line(message(2, deadline=deadline), expired),
    )
    assert [one.deadline for one in target.batches[0]] == [None, deadline]


# -- the report --------------------------------------------------------------------------------


async def test_differences_are_counted_and_the_first_are_kept() -> None:
    target = FakeTarget()
    wrong = AgentResponse(status="success", result={"task_id": 0})
    lines = [line(message(number), wrong) for number in range(1, 31)]
    report = await Replayer(target, comparison=Comparison(), samples=4).run(read_entries(lines))
    assert (report.differing, len(report.samples), report.ok) == (30, 4, False)
    first = report.samples[0]
    assert (first.line, first.message_id, first.action) == (1, "m1", "storage_get")
    assert "result.task_id" in [difference.path for difference in first.differences]


async def test_without_comparing_nothing_differs() -> None:
    wrong = AgentResponse(status="error", error="no", error_type="not_found")
    report = await replayed(FakeTarget(), line(message(1), wrong), compare=False)
    assert (report.replayed, report.compared, report.ok) == (1, 0, True)
    assert report.outcomes == {"success": 1}


async def test_broken_lines_and_missing_agents_are_no_success() -> None:
    report = await replayed(FakeTarget(), b"broken\n", line(message(1), agent="elsewhere"))
    assert report.broken == 1
    assert report.bad_lines[0].number == 1
    assert report.skipped == {"elsewhere": 1}
    assert not report.ok


async def test_a_store_that_holds_something_is_told() -> None:
    target = FakeTarget()
    target.collections = [{"collection": "tasks", "count": 3}]
    report = await replayed(target, line(message(1)))
    assert report.found == {"tasks": 3}


async def test_no_answer_ends_the_replay_with_its_line() -> None:
    target = FakeTarget()
    target.failure = RequestTimeoutError("No answer")
    with pytest.raises(ReplayError, match="line 2: No answer"):
        await replayed(target, b"broken\n", line(message(1)))


async def test_progress_adds_up_to_the_size_of_the_log() -> None:
    done: list[int] = []
    lines = [line(message(1)), b"broken\n", line(message(2))]
    await Replayer(FakeTarget(), on_progress=done.append).run(read_entries(lines))
    assert sum(done) == sum(map(len, lines))
