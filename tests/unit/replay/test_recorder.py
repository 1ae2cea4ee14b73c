"""From the chunks of a journal to a message log."""

import asyncio
from datetime import timedelta
from io import BytesIO

import pytest

from holdfast_agents.replay import (
    Comparison,
    LaterVersionError,
    Recorded,
    Recorder,
    Replayer,
    Selection,
    open_store_target,
    read_entries,
)
from holdfast_agents.wiring import ServiceOptions, open_service
from holdfast_protocol import AgentClient
from holdfast_protocol.logs import read_log
from tests.unit.replay.targets import MOMENT
from tests.unit.replay.test_journals import journaled, timed


def recorded(*chunks: bytes, selection: Selection | None = None) -> tuple[list[str], Recorded]:
    """The ids of the messages in the log, and what was told."""
    out = BytesIO()
    recorder = Recorder(out, selection or Selection())
    for chunk in chunks:
        recorder.take(chunk)
    told = recorder.finish()
    lines = out.getvalue().splitlines(keepends=True)
    assert told.bytes == len(out.getvalue())
    return [exchange.message.id for exchange in read_log(lines)], told


C1, C2, C3 = (journaled(f"c{number}", {"a": [number, 1]}) for number in (1, 2, 3))


def test_chunks_of_several_processes_are_put_into_order() -> None:
    names, told = recorded(C2 + C3, C1)
    assert names == ["c1", "c2", "c3"]
    assert (told.exchanges, told.agents) == (3, {"storage": 3})


def test_a_chunk_that_was_appended_twice_is_told_once() -> None:
    names, told = recorded(C1 + C2, C1 + C2, C3)
    assert names == ["c1", "c2", "c3"]
    assert told.repeats == 2


def test_raw_is_what_the_journal_holds() -> None:
    out = BytesIO()
    recorder = Recorder(out, Selection(raw=True))
    chunks = [C2 + b"no line\n", C1, C1]
    for chunk in chunks:
        recorder.take(chunk)
    told = recorder.finish()
    assert out.getvalue() == b"".join(chunks)
    assert (told.exchanges, told.broken) == (3, 1)


def test_broken_lines_hide_none_of_the_others_and_are_numbered_through() -> None:
    names, told = recorded(C1 + C2[:30] + b"\n", b"\n" + C3, b"[]\n")
    assert names == ["c1", "c3"]
    assert told.broken == 2
    assert [bad.number for bad in told.bad_lines] == [2, 5]


def test_a_later_version_is_refused() -> None:
    with pytest.raises(LaterVersionError, match="line 2 is of version 2"):
        recorded(C1, C2.replace(b'"v":1', b'"v":2'))


def test_only_what_was_asked_for_is_taken() -> None:
    since = Selection(since=MOMENT + timedelta(seconds=2))
    names, told = recorded(timed("a", 1) + timed("b", 2) + timed("c", 3), selection=since)
    assert names == ["b", "c"]
    assert (told.first, told.last) == (since.since, MOMENT + timedelta(seconds=3))
    other = timed("d", 1).replace(b'"agent":"storage"', b'"agent":"greeting"')
    assert recorded(C1 + other, selection=Selection(agent="greeting"))[0] == ["d"]


def test_a_stored_answer_that_stands_for_a_lost_one_is_told_as_the_first() -> None:
    lost = journaled("lost", {"a": [1, 0]}, meta={"replayed": True, "sequence": 1})
    out = BytesIO()
    recorder = Recorder(out, Selection())
    recorder.take(C2 + lost)
    assert recorder.finish().put_right == 1
    first, _second = read_log(out.getvalue().splitlines())
    assert first.message.id == "lost"
    assert first.response.meta == {"sequence": 1}
    assert first.extra["order"] == {"a": [1, 1]}


def test_lines_are_kept_to_the_byte() -> None:
    odd = C1.replace(b'"v":1,', b'"later":  {"key": 1.0},"v":1,')
    out = BytesIO()
    recorder = Recorder(out, Selection())
    recorder.take(odd)
    recorder.finish()
    assert out.getvalue() == odd


async def test_the_journal_of_a_bus_is_recorded_and_replayed() -> None:
    out = BytesIO()
    options = ServiceOptions(journal_on_bus=True)
    async with open_service(options=options) as service:
        serving = asyncio.create_task(service.run())
        async with AgentClient(bus=service.bus, sender="me") as client:
            await asyncio.gather(*(client.storage.save({"n": n}) for n in range(50)))
            await client.storage.update(1, increment={"n": 1})
        await service.stop()
        await serving
        recorder = Recorder(out, Selection())
        async for chunk in service.bus.read_journal():
            recorder.take(chunk)
    assert recorder.finish().exchanges == 51
    async with open_store_target("memory://") as target:
        lines = out.getvalue().splitlines(keepends=True)
        report = await Replayer(target, comparison=Comparison()).run(read_entries(lines))
    assert report.samples == []
    assert report.compared == 51
