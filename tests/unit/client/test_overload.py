"""A queue that takes no more: tried again while there is time, and told as what it is."""

import pytest

from holdfast_protocol import NoRouteError, OverloadedError, RequestTimeoutError, UnavailableError
from tests.unit.client.responder import answering, silent
from tests.unit.client.scenes import scene
from tests.unit.client.virtualtime import in_virtual_time, now


def full(retry_after: float = 1.0) -> OverloadedError:
    return OverloadedError("The queue is full", {"retry_after_seconds": retry_after})


@in_virtual_time
async def test_it_is_tried_again_after_the_time_that_is_asked_for() -> None:
    async with scene() as at:
        at.bus.faults = [full(3.0), full(3.0)]
        response = await at.client.request("storage", "x", {"n": 1})
        assert response.result == {"n": 1}
        assert 6 <= now() < 7
        assert len(at.bus.published) == 3
        assert len({publication.body for publication in at.bus.published}) == 1


@pytest.mark.parametrize("wants_reply", [True, False])
def test_when_no_time_remains_it_is_told_and_nothing_was_delivered(wants_reply: bool) -> None:
    @in_virtual_time
    async def run() -> None:
        async with scene(timeout=8) as at:
            at.bus.faults = [full()] * 100
            ask = at.client.request if wants_reply else at.client.send
            with pytest.raises(OverloadedError, match="full") as caught:
                await ask("storage", "x")
            assert caught.value.details == {"retry_after_seconds": 1.0}
            assert isinstance(caught.value.__cause__, OverloadedError)
            assert 4 < now() <= 8
            assert len(at.agent.received) == 0

    run()


@in_virtual_time
async def test_an_attempt_that_could_not_end_in_time_is_not_begun() -> None:
    """What is known, that nothing was delivered, would become unknown."""
    async with scene(timeout=8) as at:
        at.bus.patience = 5.0
        at.bus.faults = [full()] * 100
        with pytest.raises(OverloadedError):
            await at.client.request("storage", "x")
        assert now() == pytest.approx(5)
        assert len(at.bus.published) == 1


@in_virtual_time
async def test_before_a_deadline_too() -> None:
    async with scene() as at:
        at.bus.faults = [full()] * 100
        with pytest.raises(OverloadedError):
            await at.client.request("storage", "x", deadline=3)
        assert now() < 3


@in_virtual_time
async def test_without_retry_it_is_told_at_once() -> None:
    async with scene(retry=False) as at:
        at.bus.faults = [full()]
        with pytest.raises(OverloadedError):
            await at.client.request("storage", "x")
        assert now() == 0


@in_virtual_time
async def test_it_says_nothing_about_an_earlier_attempt() -> None:
    async with scene(silent, timeout=8) as at:
        at.bus.faults = [None, *[full()] * 100]
        with pytest.raises(RequestTimeoutError) as caught:
            await at.client.request("storage", "x")
        assert isinstance(caught.value.__cause__, OverloadedError)
        assert now() == pytest.approx(8, abs=0.1)


@in_virtual_time
async def test_an_attempt_that_was_perhaps_delivered_counts_as_one() -> None:
    async with scene(silent, timeout=8) as at:
        at.bus.faults = [UnavailableError("not confirmed"), *[full()] * 100]
        with pytest.raises(RequestTimeoutError):
            await at.client.request("storage", "x")


@in_virtual_time
async def test_a_queue_that_was_full_and_then_is_gone() -> None:
    async with scene() as at:
        at.bus.faults = [full(), NoRouteError("nobody")]
        with pytest.raises(NoRouteError):
            await at.client.request("storage", "x")


@in_virtual_time
async def test_an_answer_to_an_earlier_attempt_still_counts() -> None:
    async with scene(silent, answering(), timeout=20) as at:
        at.bus.faults = [None, full(2.0)]
        assert (await at.client.request("storage", "x", {"n": 1})).result == {"n": 1}
