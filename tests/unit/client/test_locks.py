"""A lock as a context manager: taken, waited for, renewed, given back."""

import asyncio
import itertools
from datetime import UTC, datetime, timedelta

import pytest

from holdfast_protocol import ConflictError, Fence, HeldLock, NotFoundError
from holdfast_protocol.actions import ACTIONS, parse_payload
from tests.unit.client.lockkeeper import LockKeeper
from tests.unit.client.responder import giving
from tests.unit.client.scenes import scene
from tests.unit.client.virtualtime import in_virtual_time, now


@in_virtual_time
async def test_it_is_held_inside_and_free_afterwards() -> None:
    keeper = LockKeeper()
    async with scene(keeper.script) as at:
        async with at.client.lock("deploy", lease_seconds=20) as held:
            assert isinstance(held, HeldLock)
            assert keeper.held["deploy"].owner == "tester"
            assert (held.name, held.token, held.lost) == ("deploy", 1, False)
            assert held.fence == Fence(lock="deploy", token=1)
            assert held.expires_at == datetime(2001, 1, 1, 0, 0, 20, tzinfo=UTC)
            assert held.seconds_left == 20
        assert keeper.held == {}
        assert (held.lost, held.seconds_left) == (True, 0)
        assert keeper.actions == ["lock_acquire", "lock_release"]
        for _, message in keeper.asked:
            parse_payload(ACTIONS[message.action], message.payload)


@in_virtual_time
async def test_tokens_rise_and_owners_are_told() -> None:
    keeper = LockKeeper()
    async with scene(keeper.script) as at:
        tokens = []
        for _ in range(3):
            async with at.client.lock("x", owner="night shift") as held:
                tokens.append(held.token)
                assert (await at.client.locks.get("x")).owner == "night shift"
        assert tokens == [1, 2, 3]


@in_virtual_time
async def test_one_at_a_time() -> None:
    keeper = LockKeeper()
    inside: list[int] = []

    async with scene(keeper.script) as at:

        async def work(n: int) -> None:
            async with at.client.lock("x", wait=100):
                inside.append(n)
                assert len(inside) == 1
                await asyncio.sleep(0.5)
                inside.remove(n)

        await asyncio.gather(*[work(n) for n in range(10)])
        assert now() < 10 * (0.5 + 1)


@in_virtual_time
async def test_who_waits_asks_at_least_once_a_second_and_each_time_as_another_message() -> None:
    keeper = LockKeeper()
    async with scene(keeper.script) as at:
        keeper.take("x", 60)
        waiting = asyncio.create_task(at.client.lock("x", wait=100).__aenter__())
        await asyncio.sleep(10)
        keeper.held.clear()
        freed_at = now()
        await waiting
        assert now() - freed_at <= 1.01
        moments = keeper.moments("lock_acquire")
        pauses = [b - a for a, b in itertools.pairwise(moments)]
        assert max(pauses) <= 1.01
        assert 10 < len(moments) < 30
        assert len({message.id for _, message in keeper.asked}) == len(moments)


@in_virtual_time
async def test_who_waits_asks_as_soon_as_the_holders_lease_ends() -> None:
    keeper = LockKeeper()
    async with scene(keeper.script) as at:
        keeper.take("x", 10.1)
        async with at.client.lock("x", wait=100):
            assert 10.1 <= now() < 10.3


@in_virtual_time
async def test_to_try_once() -> None:
    keeper = LockKeeper()
    async with scene(keeper.script) as at:
        keeper.take("x", 60)
        with pytest.raises(ConflictError, match="held") as caught:
            await at.client.lock("x", wait=0).__aenter__()
        assert caught.value.details == {"owner": "somebody", "retry_after_seconds": 60}
        assert (now(), len(keeper.asked)) == (0, 1)


@pytest.mark.parametrize(("wait", "until"), [(3.0, 3.0), (None, 8.0)])
def test_waiting_is_bounded(wait: float | None, until: float) -> None:
    @in_virtual_time
    async def run() -> None:
        keeper = LockKeeper()
        async with scene(keeper.script, timeout=8) as at:
            keeper.take("x", 600)
            with pytest.raises(ConflictError):
                await at.client.lock("x", wait=wait).__aenter__()
            assert now() == pytest.approx(until, abs=0.01)
            assert keeper.moments("lock_acquire")[-1] == pytest.approx(until, abs=0.01)

    run()


@in_virtual_time
async def test_a_wait_that_is_none() -> None:
    async with scene() as at:
        for wait in (-1.0, float("nan"), float("inf")):
            with pytest.raises(ValueError, match="wait"):
                at.client.lock("x", wait=wait)


@in_virtual_time
async def test_it_is_not_reentrant() -> None:
    keeper = LockKeeper()
    async with scene(keeper.script) as at:
        context = at.client.lock("x")
        async with context:
            with pytest.raises(RuntimeError, match="re-entrant"):
                await context.__aenter__()
            with pytest.raises(ConflictError):
                await at.client.lock("x", wait=0).__aenter__()
        async with context:
            pass
        assert keeper.held == {}


class TestStepByStep:
    @in_virtual_time
    async def test_each_action(self) -> None:
        keeper = LockKeeper()
        async with scene(keeper.script) as at:
            locks = at.client.locks
            lock = await locks.acquire("x", lease_seconds=5, owner="o", message_id="m")
            again = await locks.acquire("x", lease_seconds=5, owner="o", message_id="m")
            assert lock == again
            assert (lock.name, lock.owner, lock.token) == ("x", "o", 1)
            with pytest.raises(ConflictError):
                await locks.acquire("x", lease_seconds=5)
            await asyncio.sleep(1)
            renewed = await locks.renew("x", lock.token, lease_seconds=5)
            assert renewed.expires_at == lock.expires_at + timedelta(seconds=1)
            assert await locks.get("x") == renewed
            with pytest.raises(ConflictError):
                await locks.renew("x", 99, lease_seconds=5)
            with pytest.raises(ConflictError):
                await locks.release("x", 99)
            assert await locks.release("x", lock.token) == renewed
            for gone in (locks.get("x"), locks.release("x", 1)):
                with pytest.raises(NotFoundError):
                    await gone
            with pytest.raises(NotFoundError):
                await locks.renew("x", 1, lease_seconds=5)
            for _, message in keeper.asked:
                parse_payload(ACTIONS[message.action], message.payload)

    @in_virtual_time
    async def test_another_agent(self) -> None:
        async with scene(giving(None)) as at:
            lock = at.client.lock("x", agent="nobody")
            with pytest.raises(Exception, match="nobody"):
                await lock.__aenter__()
