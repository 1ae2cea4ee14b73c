"""Locks: leases that end by themselves, under fencing tokens that only rise."""

from typing import Any

import pytest

from holdfast_backends.errors import ConflictError, InvalidValueError, LockNotHeldError
from holdfast_backends.operations import Acquire, Inspect, Operation, Release, Renew
from holdfast_backends.outcomes import Leased
from holdfast_backends.testing.cases.identity import drain
from holdfast_backends.testing.harness import (
    DAY_SECONDS,
    MICROSECONDS,
    AnyBackend,
    ManualClock,
    failure,
)
from holdfast_backends.testing.telling import (
    ANOTHER,
    LEASE_SECONDS,
    LOCK,
    acquire,
    holder,
    release,
    renew,
)

NO_LEASES: list[Any] = [
    *(0, -1, 0.0, 86_400.001, float("nan"), float("inf"), 10**30, True, "1", None)
]
NO_NAMES: list[Any] = ["", "x" * 256, "a\0", "\ud800", 1, None, b"a"]
NO_TOKENS: list[Any] = [0, -1, 2**63, 1.0, "1", True, None]
NAMES = ["x", "x" * 255, "\U0001f30a" * 255, "a b", "'; --", "{t}", "*", "é", "a:b", "1"]


@pytest.mark.asyncio(loop_scope="session")
class TestAcquiring:
    async def test_a_lock_that_nobody_holds(self, backend: AnyBackend, clock: ManualClock) -> None:
        lease = await acquire(backend)
        end = clock.now + 10 * MICROSECONDS
        assert lease[:5] == (LOCK, "me", 1, clock.now, end)
        assert not lease.replayed

    async def test_it_is_told_who_holds_it(self, backend: AnyBackend, clock: ManualClock) -> None:
        lease = await acquire(backend, owner="é'")
        clock.advance(3)
        assert (await holder(backend))[:5] == lease[:5]

    async def test_a_held_one_is_a_conflict_that_tells_how_long(
        self, backend: AnyBackend, clock: ManualClock
    ) -> None:
        await acquire(backend, owner="somebody")
        clock.advance(2.5)
        failed = await failure(backend, Acquire(LOCK, "me", 10))
        assert type(failed.error) is ConflictError
        assert failed.error.details["owner"] == "somebody"
        assert failed.error.details["retry_after_seconds"] == 7.5

    async def test_it_is_never_entered_twice(self, backend: AnyBackend) -> None:
        await acquire(backend, owner="me")
        assert type((await failure(backend, Acquire(LOCK, "me", 10))).error) is ConflictError

    async def test_a_refused_one_changes_nothing(
        self, backend: AnyBackend, clock: ManualClock
    ) -> None:
        lease = await acquire(backend)
        clock.advance(9)
        await failure(backend, Acquire(LOCK, "other", 86_400))
        assert (await holder(backend))[:5] == lease[:5]

    async def test_until_the_end_it_is_held(self, backend: AnyBackend, clock: ManualClock) -> None:
        await acquire(backend)
        clock.advance(LEASE_SECONDS - 0.000001)
        await failure(backend, Acquire(LOCK, "other", 10))
        clock.advance(0.000001)
        assert (await acquire(backend, owner="other")).owner == "other"

    async def test_taken_over_its_token_rises(
        self, backend: AnyBackend, clock: ManualClock
    ) -> None:
        await acquire(backend)
        clock.advance(LEASE_SECONDS)
        lease = await acquire(backend, owner="other")
        assert (lease.owner, lease.token, lease.acquired_at) == ("other", 2, clock.now)

    async def test_locks_are_independent(self, backend: AnyBackend) -> None:
        await acquire(backend)
        assert (await acquire(backend, ANOTHER)).token == 1
        await release(backend, 1, ANOTHER)
        assert (await holder(backend)).token == 1

    @pytest.mark.parametrize("name", NAMES, ids=ascii)
    async def test_any_text_is_a_name(self, backend: AnyBackend, name: str) -> None:
        lease = await acquire(backend, name)
        assert (await holder(backend, name))[:5] == lease[:5]
        assert (await release(backend, 1, name)).name == name
        assert (await acquire(backend, name)).token == 2

    @pytest.mark.parametrize("seconds", [0.000001, 0.5, 1, 86_400], ids=repr)
    async def test_leases_of_any_length(
        self, backend: AnyBackend, clock: ManualClock, seconds: float
    ) -> None:
        lease = await acquire(backend, seconds=seconds)
        assert lease.expires_at == clock.now + round(seconds * MICROSECONDS)
        clock.advance(seconds)
        assert type((await failure(backend, Inspect(LOCK))).error) is LockNotHeldError

    @pytest.mark.parametrize("seconds", NO_LEASES, ids=repr)
    async def test_what_is_no_lease_is_refused(self, seconds: Any) -> None:
        for make in (lambda: Acquire(LOCK, "me", seconds), lambda: Renew(LOCK, 1, seconds)):
            with pytest.raises(InvalidValueError) as caught:
                make()
            assert caught.value.loc == ("lease_seconds",)

    @pytest.mark.parametrize("name", NO_NAMES, ids=ascii)
    async def test_what_is_no_name_is_refused(self, name: Any) -> None:
        for make in (
            lambda: Acquire(name, "me", 1),
            lambda: Renew(name, 1, 1),
            lambda: Release(name, 1),
            lambda: Inspect(name),
        ):
            with pytest.raises(InvalidValueError) as caught:
                make()
            assert caught.value.loc == ("name",)

    @pytest.mark.parametrize("owner", ["", "x" * 129, "a\0", "\ud800", 1, None], ids=ascii)
    async def test_what_is_no_owner_is_refused(self, owner: Any) -> None:
        with pytest.raises(InvalidValueError) as caught:
            Acquire(LOCK, owner, 1)
        assert caught.value.loc == ("owner",)

    @pytest.mark.parametrize("token", NO_TOKENS, ids=repr)
    async def test_what_is_no_token_is_refused(self, token: Any) -> None:
        for make in (lambda: Renew(LOCK, token, 1), lambda: Release(LOCK, token)):
            with pytest.raises(InvalidValueError) as caught:
                make()
            assert caught.value.loc == ("token",)


@pytest.mark.asyncio(loop_scope="session")
class TestRenewing:
    async def test_it_keeps_token_owner_and_beginning(
        self, backend: AnyBackend, clock: ManualClock
    ) -> None:
        lease = await acquire(backend)
        clock.advance(4)
        renewed = await renew(backend, lease.token, seconds=20)
        assert renewed[:4] == lease[:4]
        assert renewed.expires_at == clock.now + 20 * MICROSECONDS
        assert (await holder(backend))[:5] == renewed[:5]

    async def test_it_may_shorten(self, backend: AnyBackend, clock: ManualClock) -> None:
        await acquire(backend, seconds=100)
        await renew(backend, 1, seconds=1)
        clock.advance(1)
        assert (await acquire(backend)).token == 2

    async def test_a_renewed_lock_is_held_on(self, backend: AnyBackend, clock: ManualClock) -> None:
        await acquire(backend)
        for _ in range(5):
            clock.advance(9)
            await renew(backend, 1)
        clock.advance(9)
        await failure(backend, Acquire(LOCK, "other", 10))


@pytest.mark.asyncio(loop_scope="session")
class TestReleasing:
    async def test_it_tells_the_lease_as_it_was(self, backend: AnyBackend) -> None:
        lease = await acquire(backend)
        assert (await release(backend, 1))[:5] == lease[:5]

    async def test_then_nobody_holds_it(self, backend: AnyBackend) -> None:
        await acquire(backend)
        await release(backend, 1)
        assert type((await failure(backend, Inspect(LOCK))).error) is LockNotHeldError

    async def test_the_next_token_is_higher(self, backend: AnyBackend) -> None:
        await acquire(backend)
        await release(backend, 1)
        assert (await acquire(backend, owner="other")).token == 2


CHANGES: dict[str, Any] = {
    "renew": lambda token: Renew(LOCK, token, 10),
    "release": lambda token: Release(LOCK, token),
}


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
class TestChangingALockThatIsNotMine:
    """Renewing and releasing fail alike."""

    async def test_that_was_never_acquired(self, backend: AnyBackend, change: Any) -> None:
        assert type((await failure(backend, change(1))).error) is LockNotHeldError

    async def test_that_was_released(self, backend: AnyBackend, change: Any) -> None:
        await acquire(backend)
        await release(backend, 1)
        assert type((await failure(backend, change(1))).error) is LockNotHeldError

    async def test_whose_lease_has_ended(
        self, backend: AnyBackend, clock: ManualClock, change: Any
    ) -> None:
        await acquire(backend)
        clock.advance(LEASE_SECONDS)
        assert type((await failure(backend, change(1))).error) is LockNotHeldError

    async def test_that_somebody_else_took_over(
        self, backend: AnyBackend, clock: ManualClock, change: Any
    ) -> None:
        await acquire(backend)
        clock.advance(LEASE_SECONDS)
        lease = await acquire(backend, owner="other")
        failed = await failure(backend, change(1))
        assert type(failed.error) is ConflictError
        assert failed.error.details == {"current_token": 2}
        assert (await holder(backend))[:5] == lease[:5]

    @pytest.mark.parametrize("token", [2, 2**63 - 1])
    async def test_with_a_token_that_nobody_has(
        self, backend: AnyBackend, change: Any, token: int
    ) -> None:
        await acquire(backend)
        operation: Operation = change(token)
        failed = await failure(backend, operation)
        assert type(failed.error) is ConflictError
        assert failed.error.details == {"current_token": 1}


@pytest.mark.asyncio(loop_scope="session")
class TestTokens:
    async def test_they_rise_by_one_with_each_acquisition(
        self, backend: AnyBackend, clock: ManualClock
    ) -> None:
        tokens = []
        for number in range(60):
            lease = await acquire(backend)
            tokens.append(lease.token)
            if number % 3 == 0:
                clock.advance(LEASE_SECONDS)
                continue
            await renew(backend, lease.token)
            await release(backend, lease.token)
        assert tokens == list(range(1, 61))

    async def test_within_a_call_too(self, backend: AnyBackend) -> None:
        steps = [step for n in range(1, 31) for step in (Acquire(LOCK, "me", 1), Release(LOCK, n))]
        outcomes = await backend.execute(steps)
        assert {type(outcome) for outcome in outcomes} == {Leased}
        assert (await acquire(backend)).token == 31

    @pytest.mark.parametrize("ended", ["released", "expired"])
    async def test_they_survive_any_sweep(
        self, backend: AnyBackend, clock: ManualClock, ended: str
    ) -> None:
        await acquire(backend)
        if ended == "released":
            await release(backend, 1)
        clock.advance(400 * DAY_SECONDS)
        await drain(backend)
        assert (await acquire(backend)).token == 2

    async def test_a_sweep_leaves_what_is_held(
        self, backend: AnyBackend, clock: ManualClock
    ) -> None:
        lease = await acquire(backend)
        clock.advance(LEASE_SECONDS - 1)
        await drain(backend)
        assert (await holder(backend))[:5] == lease[:5]
