"""A machine that sleeps: the loop's clock stands still, the store's does not."""

import asyncio

import pytest

from holdfast_protocol import ConflictError
from holdfast_protocol.client import lease_clock
from holdfast_protocol.client.lease_clock import LeaseClock
from tests.unit.client.lockkeeper import LockKeeper
from tests.unit.client.scenes import scene
from tests.unit.client.virtualtime import in_virtual_time, now


class Sleep:
    """Stands for the difference of the two clocks, in seconds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 1_234.5
        monkeypatch.setattr(lease_clock, "suspended", lambda: self.seconds)


def test_it_is_the_loops_clock_and_the_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    @in_virtual_time
    async def run() -> None:
        sleep = Sleep(monkeypatch)
        clock = LeaseClock()
        await asyncio.sleep(3)
        assert clock.time() == 3
        sleep.seconds += 0.001  # two clocks that were not read in the same moment
        assert clock.time() == 3
        sleep.seconds += 100
        assert clock.time() == pytest.approx(103, abs=0.01)

    run()


@in_virtual_time
async def test_without_a_sleep_it_is_the_loops_clock() -> None:
    clock = LeaseClock()
    for _ in range(1_000):
        await asyncio.sleep(1)
        assert clock.time() == pytest.approx(now(), abs=1)


@pytest.mark.parametrize("renew", [True, False])
def test_a_lease_that_ended_while_the_machine_slept_is_lost(
    renew: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    @in_virtual_time
    async def run() -> None:
        sleep = Sleep(monkeypatch)
        keeper = LockKeeper()
        async with scene(keeper.script) as at:
            with pytest.raises(ConflictError, match="lost"):
                async with at.client.lock("x", lease_seconds=60, renew=renew) as held:
                    await asyncio.sleep(1)
                    sleep.seconds += 30
                    assert not held.lost
                    assert held.seconds_left == pytest.approx(29)
                    sleep.seconds += 30
                    assert (held.lost, held.seconds_left) == (True, 0)
                    await held.wait_lost()
                    assert now() <= 6, "noticed soon after the machine woke up"
            assert "lock_renew" not in keeper.actions

    run()


def test_a_short_sleep_makes_the_renewal_come_earlier(monkeypatch: pytest.MonkeyPatch) -> None:
    @in_virtual_time
    async def run() -> None:
        sleep = Sleep(monkeypatch)
        keeper = LockKeeper()
        async with scene(keeper.script) as at, at.client.lock("x", lease_seconds=60) as held:
            await asyncio.sleep(1)
            sleep.seconds += 40
            await asyncio.sleep(5)
            assert keeper.moments("lock_renew") == [5]
            assert held.seconds_left == pytest.approx(59)

    run()
