"""Subscriptions whose opening does not come to its end."""

import asyncio

import pytest

from tests.unit.client.ledger import Ledger, changed, publish
from tests.unit.client.responder import silent
from tests.unit.client.scenes import scene
from tests.unit.client.test_subscribing import take
from tests.unit.client.virtualtime import in_virtual_time


@pytest.mark.parametrize("after", [None, 0])
def test_an_opening_that_is_cancelled_is_made_up_for(after: int | None) -> None:
    @in_virtual_time
    async def run() -> None:
        ledger = Ledger()
        async with scene(silent, ledger.script, timeout=60) as at:
            events = at.client.subscribe("tasks.*", after=after)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(events), 1)
            if after is None:
                assert not publish(at.broker, ledger.change()), "nothing listens meanwhile"
            for _ in range(3):
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(anext(events), 0)
            waiting = asyncio.create_task(take(events, 1))
            await asyncio.sleep(20)
            changed(at.broker, ledger, "tasks")
            (event,) = await waiting
            assert event.sequence == len(ledger.sequences("tasks"))
            await events.aclose()
            assert not publish(at.broker, ledger.change()), "nothing listens any more"
            with pytest.raises(StopAsyncIteration):
                await anext(events)

    run()


@in_virtual_time
async def test_closing_ends_who_opens() -> None:
    async with scene(silent) as at:
        for cancels in (False, True):
            events = at.client.subscribe("tasks.*")
            opening = asyncio.create_task(events.__aenter__())
            await asyncio.sleep(1)
            await events.aclose()
            if cancels:
                opening.cancel()
            await asyncio.wait([opening])
            with pytest.raises(StopAsyncIteration):
                await anext(events)
