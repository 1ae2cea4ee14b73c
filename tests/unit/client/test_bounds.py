"""What is under way is bounded; what has no place waits, in its turn and not for ever."""

import asyncio

import pytest

from holdfast_protocol import BusClosedError, RequestTimeoutError, TooLargeError
from holdfast_protocol.client.room import Room
from tests.unit.client.responder import answering, silent
from tests.unit.client.scenes import scene
from tests.unit.client.virtualtime import in_virtual_time, now


@in_virtual_time
async def test_no_more_than_so_many_are_under_way() -> None:
    async with scene(max_pending=10) as at:
        responses = await asyncio.gather(
            *[at.client.request("storage", "x", {"n": n}) for n in range(35)]
        )
        assert [response.result for response in responses] == [{"n": n} for n in range(35)]
        assert max(at.agent.sizes) <= 10
        order = [m.payload["n"] for received in at.agent.received for m in received.messages]
        assert order == list(range(35))


@in_virtual_time
async def test_no_more_than_so_many_bytes_are_under_way() -> None:
    async with scene(max_pending_bytes=10_000) as at:
        text = "x" * 3_000
        await asyncio.gather(*[at.client.request("storage", "x", {"t": text}) for _ in range(10)])
        assert max(at.agent.sizes) == 3


@in_virtual_time
async def test_a_message_larger_than_all_the_bytes_goes_alone() -> None:
    async with scene(max_pending_bytes=100) as at:
        await asyncio.gather(*[at.client.request("storage", "x", {"t": "x" * 500})] * 1)
        assert at.agent.sizes == [1]


@in_virtual_time
async def test_who_waits_too_long_for_a_place_has_sent_nothing() -> None:
    async with scene(silent, max_pending=1, timeout=8) as at:
        first = asyncio.create_task(at.client.request("storage", "x", {"n": 1}))
        await at.agent.has_received(1)
        with pytest.raises(RequestTimeoutError, match="not sent") as caught:
            await at.client.request("storage", "x", {"n": 2}, timeout=1, message_id="m")
        assert caught.value.details == {"message_id": "m", "attempts": 0}
        assert now() == pytest.approx(1)
        assert [m.payload for m in at.agent.received[0].messages] == [{"n": 1}]
        first.cancel()


@in_virtual_time
async def test_who_is_cancelled_gives_the_place_to_the_next() -> None:
    async with scene(silent, answering(), max_pending=1) as at:
        first = asyncio.create_task(at.client.request("storage", "x"))
        await at.agent.has_received(1)
        second = asyncio.create_task(at.client.request("storage", "x"))
        third = asyncio.create_task(at.client.request("storage", "x", {"n": 3}))
        asyncio.get_running_loop().call_soon(second.cancel)
        asyncio.get_running_loop().call_soon(first.cancel)
        assert (await third).result == {"n": 3}
        assert now() == 0


@in_virtual_time
async def test_a_message_over_the_limit_is_refused_before_it_is_sent() -> None:
    async with scene(max_message_bytes=1_000) as at:
        for asked in (at.client.request, at.client.send):
            with pytest.raises(TooLargeError, match="at most 1000"):
                await asked("storage", "x", {"t": "x" * 1_000})
        assert not at.bus.published


@in_virtual_time
async def test_leaving_the_client_ends_the_wait_for_a_place() -> None:
    async with scene(silent, max_pending=1) as at:
        tasks = [asyncio.create_task(at.client.request("storage", "x")) for _ in range(3)]
        await at.agent.has_received(1)
        await at.client.__aexit__(None, None, None)
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(result) for result in results] == [BusClosedError] * 3


@in_virtual_time
async def test_a_place_given_in_the_moment_of_a_cancellation_is_given_back() -> None:
    room = Room(1, 100)
    assert room.try_enter(1)
    waiting = asyncio.create_task(room.enter(1))
    await asyncio.sleep(0)
    room.leave(1)  # the place is handed over …
    waiting.cancel()  # … before the task has noticed
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert room.try_enter(1)


@in_virtual_time
async def test_a_large_one_that_gives_up_lets_a_small_one_in() -> None:
    room = Room(10, 100)
    assert room.try_enter(60)
    large = asyncio.create_task(room.enter(90))
    small = asyncio.create_task(room.enter(10))
    await asyncio.sleep(0)
    assert not room.try_enter(1), "nobody overtakes who waits"
    large.cancel()
    await small
    assert large.cancelled()
