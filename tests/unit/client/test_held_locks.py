"""A lock that is held: renewed, lost, given back, whatever happens meanwhile."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta

import pytest

from holdfast_protocol import (
    ConflictError,
    HoldfastError,
    NotFoundError,
    OverloadedError,
    UnavailableError,
)
from tests.unit.client.lockkeeper import LockKeeper
from tests.unit.client.responder import Received, failing, silent
from tests.unit.client.scenes import scene
from tests.unit.client.virtualtime import in_virtual_time, now


class TestRenewing:
    @in_virtual_time
    async def test_every_third_of_the_lease(self) -> None:
        keeper = LockKeeper()
        async with scene(keeper.script) as at:
            async with at.client.lock("x", lease_seconds=30) as held:
                await asyncio.sleep(95)
                assert not held.lost
                assert keeper.moments("lock_renew") == pytest.approx(
                    [10 * (n + 1) for n in range(9)], abs=0.1
                )
                assert held.expires_at == datetime(2001, 1, 1, tzinfo=UTC) + timedelta(
                    seconds=keeper.held["x"].ends_at
                )
            assert keeper.held == {}

    @in_virtual_time
    async def test_not_when_told_so(self) -> None:
        keeper = LockKeeper()
        async with scene(keeper.script) as at:
            with pytest.raises(ConflictError, match="lost"):
                async with at.client.lock("x", lease_seconds=30, renew=False) as held:
                    await asyncio.sleep(29)
                    assert not held.lost
                    await held.renew()
                    await asyncio.sleep(29)
                    assert not held.lost
                    await held.wait_lost()
                    assert now() == pytest.approx(59, abs=0.01)
                    with pytest.raises(ConflictError):
                        await held.renew()
            assert keeper.moments("lock_renew") == [29]

    @in_virtual_time
    async def test_goes_on_after_failures_while_the_lease_lasts(self) -> None:
        keeper = LockKeeper()
        scripts = [keeper.script, *[failing("internal_error")] * 3, keeper.script]
        async with scene(*scripts) as at, at.client.lock("x", lease_seconds=30) as held:
            await asyncio.sleep(100)
            assert not held.lost

    @in_virtual_time
    async def test_without_an_answer_it_is_lost_when_the_lease_ends(self) -> None:
        keeper = LockKeeper()
        async with scene(keeper.script, silent, timeout=5) as at:
            with pytest.raises(ConflictError, match="lost") as caught:
                async with at.client.lock("x", lease_seconds=30) as held:
                    await held.wait_lost()
                    assert held.lost
                    assert now() == pytest.approx(30, abs=0.1)
            assert caught.value.__cause__ is not None
            assert caught.value.details == {"lock": "x", "token": 1}

    @in_virtual_time
    async def test_a_lease_that_the_store_forgot_is_lost_at_once(self) -> None:
        keeper = LockKeeper()
        async with scene(keeper.script) as at:
            with pytest.raises(ConflictError, match="lost") as caught:
                async with at.client.lock("x", lease_seconds=30) as held:
                    keeper.held.clear()
                    await held.wait_lost()
                    assert now() == pytest.approx(10, abs=0.1)
            assert isinstance(caught.value.__cause__, NotFoundError)

    @in_virtual_time
    async def test_a_lease_that_passed_to_another_is_lost_and_left_alone(self) -> None:
        keeper = LockKeeper()
        async with scene(keeper.script) as at:
            with pytest.raises(ConflictError, match="lost"):
                async with at.client.lock("x", lease_seconds=30) as held:
                    keeper.take("x", 60)
                    await held.wait_lost()
            assert (keeper.held["x"].owner, keeper.held["x"].token) == ("somebody", 2)


class TestLeaving:
    @in_virtual_time
    async def test_an_error_inside_is_not_covered_up(self) -> None:
        keeper = LockKeeper()
        async with scene(keeper.script) as at:
            for forget in (False, True):
                with pytest.raises(KeyError):
                    async with at.client.lock("x"):
                        if forget:
                            keeper.held.clear()
                        raise KeyError("mine")
            assert keeper.held == {}

    @in_virtual_time
    async def test_a_loss_that_only_the_release_finds_is_told(self) -> None:
        keeper = LockKeeper()
        async with scene(keeper.script) as at:
            with pytest.raises(ConflictError, match="lost") as caught:
                async with at.client.lock("x"):
                    keeper.held.clear()
            assert isinstance(caught.value.__cause__, NotFoundError)

    @in_virtual_time
    async def test_a_release_that_fails_is_left_to_the_lease(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        keeper = LockKeeper()
        async with scene(keeper.script, silent) as at:
            with caplog.at_level(logging.WARNING, "holdfast.client"):
                async with at.client.lock("x", lease_seconds=30):
                    pass
            assert now() == pytest.approx(10, abs=0.1)
            assert "stays taken until its lease ends" in caplog.text

    @in_virtual_time
    async def test_a_cancelled_holder_gives_it_back(self) -> None:
        keeper = LockKeeper()
        async with scene(keeper.script) as at:

            async def hold() -> None:
                async with at.client.lock("x"):
                    await asyncio.sleep(1_000)

            holding = asyncio.create_task(hold())
            await asyncio.sleep(1)
            holding.cancel()
            with pytest.raises(asyncio.CancelledError):
                await holding
            assert keeper.held == {}

    @in_virtual_time
    async def test_also_when_it_is_cancelled_while_giving_back(self) -> None:
        keeper = LockKeeper()
        async with scene(keeper.script, silent, keeper.script) as at:

            async def hold() -> None:
                async with at.client.lock("x"):
                    pass

            holding = asyncio.create_task(hold())
            await at.agent.has_received(2)
            holding.cancel()
            with pytest.raises(asyncio.CancelledError):
                await holding
            assert "x" in keeper.held
            await at.agent.has_received(3)
            assert keeper.held == {}


class TestUnknownOutcomes:
    @in_virtual_time
    async def test_what_a_cancelled_one_had_asked_for_is_given_back(self) -> None:
        keeper = LockKeeper()
        async with scene(silent, keeper.script, timeout=8) as at:
            entering = asyncio.create_task(at.client.lock("x").__aenter__())
            await at.agent.has_received(1)
            entering.cancel()
            with pytest.raises(asyncio.CancelledError):
                await entering
            assert now() < 1
            await at.agent.has_received(3)
            assert keeper.actions == ["lock_acquire", "lock_release"]
            assert keeper.held == {}

    @in_virtual_time
    async def test_what_timed_out_is_found_again_and_given_back(self) -> None:
        keeper = LockKeeper()

        def taken_in_silence(received: object) -> list[bytes]:
            keeper.script(received)  # type: ignore[arg-type]
            return []

        scripts = [taken_in_silence, silent, silent, keeper.script]
        async with scene(*scripts, timeout=8) as at:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(7):
                    await at.client.lock("x", lease_seconds=600).__aenter__()
            assert "x" in keeper.held
            await at.agent.has_received(5)
            assert keeper.actions == ["lock_acquire", "lock_acquire", "lock_release"]
            assert len({message.id for _, message in keeper.asked[:2]}) == 1
            assert keeper.held == {}

    @pytest.mark.parametrize("refusal", ["overloaded", "rate_limited", "unavailable"])
    def test_a_refusal_says_nothing_about_an_earlier_attempt(self, refusal: str) -> None:
        @in_virtual_time
        async def run() -> None:
            keeper = LockKeeper()

            def taken_in_silence(received: Received) -> list[bytes]:
                keeper.script(received)
                return []

            refusing = failing(refusal, {"retry_after_seconds": 60})
            async with scene(taken_in_silence, refusing, keeper.script, timeout=8) as at:
                with pytest.raises(HoldfastError) as caught:
                    await at.client.lock("x", lease_seconds=600).__aenter__()
                assert caught.value.error_type == refusal
                await at.agent.has_received(4)
                assert keeper.actions == ["lock_acquire", "lock_acquire", "lock_release"]
                assert len({message.id for _, message in keeper.asked[:2]}) == 1
                assert keeper.held == {}

        run()

    @in_virtual_time
    async def test_what_no_queue_took_is_not_asked_for_again(self) -> None:
        keeper = LockKeeper()
        async with scene(keeper.script, timeout=8) as at:
            at.bus.faults = [OverloadedError("full", {"retry_after_seconds": 60})]
            with pytest.raises(OverloadedError):
                await at.client.lock("x").__aenter__()
            await asyncio.sleep(100)
            assert keeper.asked == []

    @in_virtual_time
    async def test_leaving_the_client_waits_a_moment_for_that(self) -> None:
        keeper = LockKeeper()
        async with scene(keeper.script) as at:
            entering = asyncio.create_task(at.client.lock("x").__aenter__())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            entering.cancel()
            await at.client.__aexit__(None, None, None)
            assert keeper.actions in (["lock_acquire", "lock_release"], [])
            assert keeper.held == {}
            assert now() < 2.1

    @in_virtual_time
    async def test_an_answer_later_than_the_lease_is_no_lock(self) -> None:
        keeper = LockKeeper()
        async with scene(silent, keeper.script, timeout=100) as at:
            with pytest.raises(ConflictError, match="lost"):
                await at.client.lock("x", lease_seconds=5, wait=0).__aenter__()
            await at.agent.has_received(3)
            assert keeper.held == {}

    @in_virtual_time
    async def test_a_broker_that_is_not_there_is_told(self) -> None:
        async with scene(retry=False) as at:
            at.bus.faults = [UnavailableError("gone")] * 2
            with pytest.raises(UnavailableError, match="gone"):
                await at.client.lock("x").__aenter__()
