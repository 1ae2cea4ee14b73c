"""The journal: appended to, read to its end, followed."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from holdfast_protocol.bus.contract import Bus
from holdfast_protocol.errors import BusClosedError, TooLargeError, ValidationError
from tests.conformance.bus.harness import Harness, soon


async def read(bus: Bus, since: datetime | None = None) -> list[bytes]:
    return await soon(_all(bus.read_journal(since=since)))


async def _all(chunks: AsyncIterator[bytes]) -> list[bytes]:
    return [chunk async for chunk in chunks]


@asynccontextmanager
async def following(bus: Bus) -> AsyncIterator["asyncio.Queue[bytes]"]:
    """What a reader that follows gets."""
    got: asyncio.Queue[bytes] = asyncio.Queue()

    async def follow() -> None:
        async for chunk in bus.read_journal(follow=True):
            got.put_nowait(chunk)

    task = asyncio.create_task(follow())
    try:
        yield got
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_what_was_appended_is_read_in_order(bus: Bus) -> None:
    chunks = [b"%d\n" % number for number in range(300)]
    for chunk in chunks:
        await bus.journal(chunk)
    assert await read(bus) == chunks
    assert await read(bus) == chunks


async def test_without_a_journal_there_is_nothing(bus: Bus) -> None:
    assert await read(bus) == []


async def test_other_buses_read_it_too_but_not_other_namespaces(harness: Harness, bus: Bus) -> None:
    await bus.journal(b"mine\n")
    async with harness.bus() as other, harness.bus(namespace="elsewhere") as stranger:
        assert await read(other) == [b"mine\n"]
        assert await read(stranger) == []


async def test_large_chunks_are_read_whole(bus: Bus) -> None:
    chunks = [bytes([65 + number]) * (2 << 20) for number in range(5)]
    for chunk in chunks:
        await bus.journal(chunk)
    assert await read(bus) == chunks


async def test_the_end_is_what_was_there_when_the_reading_began(bus: Bus) -> None:
    await bus.journal(b"1")
    got: list[bytes] = []
    async with asyncio.timeout(30):
        async for chunk in bus.read_journal():
            got.append(chunk)
            await bus.journal(b"later")
    assert got == [b"1"]
    assert await read(bus) == [b"1", b"later"]


async def test_reading_may_stop_anywhere(bus: Bus) -> None:
    for number in range(100):
        await bus.journal(b"%d" % number)
    chunks = bus.read_journal()
    assert await soon(anext(chunks)) == b"0"
    assert isinstance(chunks, AsyncGenerator)
    await soon(chunks.aclose())
    assert len(await read(bus)) == 100


async def test_following_goes_on(bus: Bus) -> None:
    await bus.journal(b"1")
    async with following(bus) as got:
        assert await soon(got.get()) == b"1"
        for body in (b"2", b"3"):
            await bus.journal(body)
            assert await soon(got.get()) == body
        assert await read(bus) == [b"1", b"2", b"3"]
        await bus.journal(b"4")
        assert await soon(got.get()) == b"4"
        assert got.empty()


async def test_one_may_follow_before_anything_is_there(bus: Bus) -> None:
    async with following(bus) as got:
        await bus.journal(b"1")
        assert await soon(got.get()) == b"1"


async def test_since_long_ago_is_everything_and_since_later_is_nothing(bus: Bus) -> None:
    await bus.journal(b"1")
    await bus.journal(b"2")
    now = datetime.now(UTC)
    assert await read(bus, now - timedelta(days=1)) == [b"1", b"2"]
    assert await read(bus, now + timedelta(days=1)) == []
    assert await read(bus, (now - timedelta(days=1)).astimezone()) == [b"1", b"2"]


async def test_a_time_without_a_zone_is_refused(bus: Bus) -> None:
    with pytest.raises(ValueError, match="time zone"):
        await read(bus, datetime(2026, 1, 1))  # noqa: DTZ001


async def test_an_empty_chunk_and_one_that_is_too_large_are_refused(bus: Bus) -> None:
    with pytest.raises(ValidationError):
        await bus.journal(b"")
    with pytest.raises(TooLargeError):
        await bus.journal(bytes(128 * 1024 * 1024 + 1))
    assert await read(bus) == []


async def test_many_append_and_read_at_the_same_time(bus: Bus) -> None:
    async def append(writer: int) -> None:
        for number in range(50):
            await bus.journal(b"%d %d" % (writer, number))

    await soon(asyncio.gather(*(append(writer) for writer in range(5)), read(bus), read(bus)))
    chunks = await read(bus)
    assert len(chunks) == 250
    for writer in range(5):
        mine = [chunk for chunk in chunks if chunk.startswith(b"%d " % writer)]
        assert mine == [b"%d %d" % (writer, number) for number in range(50)]


async def test_closing_the_bus_ends_who_follows(harness: Harness, bus: Bus) -> None:
    await bus.journal(b"1")
    async with harness.bus() as other:
        chunks = other.read_journal(follow=True)
        assert await soon(anext(chunks)) == b"1"
        waiting = asyncio.ensure_future(anext(chunks))
        await asyncio.sleep(0)
    with pytest.raises(BusClosedError):
        await soon(waiting)


async def test_a_bus_that_is_not_open_has_no_journal(harness: Harness) -> None:
    bus = harness.bus()
    with pytest.raises(BusClosedError):
        await bus.journal(b"x")
    with pytest.raises(BusClosedError):
        await read(bus)
