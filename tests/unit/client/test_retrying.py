"""The same message again, under the same id, while there is time."""

import asyncio
import itertools
import logging

import pytest

from holdfast_protocol import (
    BusClosedError,
    InternalError,
    NoRouteError,
    RequestTimeoutError,
    TooLargeError,
    UnavailableError,
)
from holdfast_protocol.client.retrying import backoff
from tests.unit.client.responder import answering, failing, silent
from tests.unit.client.scenes import scene
from tests.unit.client.virtualtime import in_virtual_time, now


@in_virtual_time
async def test_without_an_answer_it_is_sent_again_after_a_quarter_of_the_timeout() -> None:
    async with scene(silent, answering(), timeout=8) as at:
        response = await at.client.request("storage", "x", {"n": 1})
        assert response.ok
        first, second = at.agent.received
        assert second.moment == pytest.approx(2, abs=0.01)
        assert first.delivery.body == second.delivery.body
        assert first.delivery.correlation_id != second.delivery.correlation_id


@in_virtual_time
async def test_intervals_grow_and_the_timeout_says_what_is_known() -> None:
    async with scene(silent, timeout=8) as at:
        with pytest.raises(RequestTimeoutError, match="outcome is unknown") as caught:
            await at.client.request("storage", "x", message_id="m")
        assert caught.value.details == {"message_id": "m", "attempts": 3}
        moments = [received.moment for received in at.agent.received]
        assert moments == pytest.approx([0, 2, 6], abs=0.02)
        assert now() == pytest.approx(8, abs=0.02)
        assert at.client.counters.timed_out == 1


@in_virtual_time
async def test_after_a_long_timeout_the_first_interval_is_fifteen_seconds() -> None:
    async with scene(silent, answering(), timeout=600) as at:
        await at.client.request("storage", "x")
        assert now() == pytest.approx(15, abs=0.02)


@in_virtual_time
async def test_without_retry_nothing_is_sent_twice() -> None:
    async with scene(silent, timeout=8, retry=False) as at:
        with pytest.raises(RequestTimeoutError):
            await at.client.request("storage", "x")
        at.bus.reconnect()
        at.bus.faults = [UnavailableError("not confirmed")]
        with pytest.raises(UnavailableError, match="not confirmed"):
            await at.client.request("storage", "x")
        assert at.agent.sizes == [1]


@in_virtual_time
async def test_without_retry_an_answered_error_is_handed_out() -> None:
    async with scene(failing("overloaded"), retry=False) as at:
        assert (await at.client.request("storage", "x")).error_type == "overloaded"


@in_virtual_time
async def test_only_what_was_not_answered_is_sent_again() -> None:
    async with scene(silent, answering(), timeout=8) as at:
        waiting = [asyncio.create_task(at.client.request("storage", "x")) for _ in range(3)]
        await at.agent.has_received(1)
        waiting[1].cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        first, second = at.agent.received
        assert second.ids == [first.ids[0], first.ids[2]]
        assert at.client.counters.resent == 2


@pytest.mark.parametrize("error_type", ["unavailable", "overloaded", "rate_limited"])
def test_an_error_that_may_pass_is_retried_with_backoff(error_type: str) -> None:
    @in_virtual_time
    async def run() -> None:
        error = failing(error_type)
        async with scene(error, error, error, answering()) as at:
            assert (await at.client.request("storage", "x")).ok
            moments = [received.moment for received in at.agent.received]
            pauses = [b - a for a, b in itertools.pairwise(moments)]
            for pause, most in zip(pauses, [0.1, 0.2, 0.4], strict=True):
                assert most / 2 - 0.01 <= pause <= most + 0.01
            assert len({received.delivery.body for received in at.agent.received}) == 1

    run()


@in_virtual_time
async def test_an_agent_is_given_the_time_it_asks_for() -> None:
    async with scene(failing("rate_limited", {"retry_after_seconds": 12}), answering()) as at:
        assert (await at.client.request("storage", "x")).ok
        assert 12 <= now() <= 12.1


@pytest.mark.parametrize("asked", [-1, "soon", True, None, [5]])
def test_nonsense_for_a_time_is_no_time(asked: object) -> None:
    @in_virtual_time
    async def run() -> None:
        details = {"retry_after_seconds": asked}
        async with scene(failing("rate_limited", details), answering()) as at:  # type: ignore[arg-type]
            assert (await at.client.request("storage", "x")).ok
            assert now() < 0.2

    run()


@in_virtual_time
async def test_an_error_is_handed_out_when_no_time_remains_for_another_attempt() -> None:
    async with scene(failing("rate_limited", {"retry_after_seconds": 60}), timeout=30) as at:
        response = await at.client.request("storage", "x")
        assert (response.error_type, now(), at.agent.sizes) == ("rate_limited", 0, [1])


@in_virtual_time
async def test_other_errors_are_not_retried() -> None:
    async with scene(failing("storage_error")) as at:
        assert (await at.client.request("storage", "x")).error_type == "storage_error"
        assert at.agent.sizes == [1]


@in_virtual_time
async def test_an_answer_that_comes_during_the_backoff_counts() -> None:
    slow = failing("unavailable", {"retry_after_seconds": 20})
    async with scene(slow, answering()) as at:
        asking = asyncio.create_task(at.client.request("storage", "x", {"n": 1}))
        await at.agent.has_received(1)
        (body,) = answering()(at.agent.received[0])
        await at.agent.say(body, to=at.agent.received[0])
        assert (await asking).result == {"n": 1}
        assert (now(), at.agent.sizes) == (0, [1])


@in_virtual_time
async def test_a_publish_that_was_not_confirmed_is_made_again() -> None:
    async with scene() as at:
        at.bus.faults = [UnavailableError("not confirmed"), UnavailableError("not confirmed")]
        responses = await asyncio.gather(*[at.client.request("storage", "x") for _ in range(3)])
        assert all(response.ok for response in responses)
        assert now() < 0.5
        (received,) = at.agent.received
        assert [response.in_reply_to for response in responses] == received.ids


@in_virtual_time
async def test_what_travelled_together_travels_together_again() -> None:
    async with scene(failing("unavailable"), failing("overloaded"), answering()) as at:
        await asyncio.gather(*[at.client.request("storage", "x") for _ in range(50)])
        assert at.agent.sizes == [50, 50, 50]
        assert at.agent.received[0].ids == at.agent.received[2].ids


@in_virtual_time
async def test_a_publish_that_never_succeeds_ends_in_a_timeout_with_its_cause() -> None:
    async with scene(timeout=4) as at:
        at.bus.faults = [UnavailableError("no broker")] * 1_000
        with pytest.raises(RequestTimeoutError) as caught:
            await at.client.request("storage", "x")
        assert isinstance(caught.value.__cause__, UnavailableError)
        assert now() == pytest.approx(4, abs=0.02)
        assert len(at.bus.published) < 20


@in_virtual_time
async def test_after_a_reconnect_what_waits_is_sent_again() -> None:
    async with scene(silent, answering(), timeout=600) as at:
        waiting = asyncio.gather(*[at.client.request("storage", "x") for _ in range(3)])
        await at.agent.has_received(1)
        at.bus.reconnect()
        await waiting
        first, second = at.agent.received
        assert first.delivery.body == second.delivery.body
        assert now() <= 0.3


@in_virtual_time
async def test_a_reconnect_sends_again_once() -> None:
    async with scene(silent, timeout=4) as at:
        waiting = asyncio.create_task(at.client.request("storage", "x"))
        await at.agent.has_received(1)
        at.bus.reconnect()
        with pytest.raises(RequestTimeoutError) as caught:
            await waiting
        assert caught.value.details["attempts"] == 3  # the first, the reconnect, one interval


@in_virtual_time
async def test_nobody_bound_is_told_at_once() -> None:
    async with scene() as at:
        with pytest.raises(NoRouteError):
            await at.client.request("nobody", "x")
        assert now() == 0


@in_virtual_time
async def test_nobody_bound_says_nothing_about_an_earlier_attempt() -> None:
    async with scene(silent, answering(), timeout=8) as at:
        at.bus.faults = [None, NoRouteError("gone")]
        assert (await at.client.request("storage", "x")).ok
        assert len(at.bus.published) == 3


@in_virtual_time
async def test_expired_after_an_earlier_attempt_proves_nothing() -> None:
    """The first attempt may have been executed, and only its answer be lost."""
    async with scene(silent, failing("expired"), timeout=8) as at:
        with pytest.raises(RequestTimeoutError):
            await at.client.request("storage", "x", deadline=600)
        assert now() == pytest.approx(8, abs=0.02)


@in_virtual_time
async def test_expired_at_the_first_attempt_is_handed_out() -> None:
    async with scene(failing("expired")) as at:
        assert (await at.client.request("storage", "x", deadline=600)).error_type == "expired"


@in_virtual_time
async def test_past_its_deadline_nothing_is_sent_again() -> None:
    async with scene(silent, timeout=8) as at:
        with pytest.raises(RequestTimeoutError):
            await at.client.request("storage", "x", deadline=1.0, timeout=8)
        assert at.agent.sizes == [1]
        assert now() == pytest.approx(8, abs=0.02)


@pytest.mark.parametrize("error", [BusClosedError("closed"), TooLargeError("big", {"a": 1})])
def test_what_no_retry_can_help_is_told_to_all(error: BusClosedError | TooLargeError) -> None:
    @in_virtual_time
    async def run() -> None:
        async with scene() as at:
            at.bus.faults = [error]
            results = await asyncio.gather(
                *[at.client.request("storage", "x") for _ in range(2)], return_exceptions=True
            )
            assert [type(result) for result in results] == [type(error)] * 2
            assert results[0] is not results[1]

    run()


def test_a_defect_of_the_bus_is_told_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    @in_virtual_time
    async def run() -> None:
        async with scene() as at:
            at.bus.faults = [RuntimeError("oops")]
            with pytest.raises(InternalError) as caught:
                await at.client.request("storage", "x")
            assert isinstance(caught.value.__cause__, RuntimeError)

    run()
    assert any(record.levelno == logging.ERROR for record in caplog.records)


@in_virtual_time
async def test_what_is_told_without_a_reply_is_published_again_too() -> None:
    async with scene() as at:
        at.bus.faults = [UnavailableError("not confirmed")]
        assert await at.client.send("storage", "x", message_id="m") == "m"
        await at.agent.has_received(1)
        assert at.agent.received[0].ids == ["m"]


@in_virtual_time
async def test_what_is_told_without_a_reply_is_not_sent_again_once_confirmed() -> None:
    async with scene(timeout=8) as at:
        await at.client.send("storage", "x")
        at.bus.reconnect()
        await asyncio.sleep(20)  # virtual
        assert at.agent.sizes == [1]


@in_virtual_time
async def test_telling_nobody_is_an_error() -> None:
    async with scene() as at:
        with pytest.raises(NoRouteError):
            await at.client.send("nobody", "x")


def test_backoff_is_bounded_however_many_attempts() -> None:
    assert [backoff(1_000_000, spread) for spread in (0.0, 1.0)] == [2.5, 5]
    assert [backoff(0, spread) for spread in (0.0, 1.0)] == [0.05, 0.1]
    assert backoff(1, 0.0, retry_after=100) == 100
