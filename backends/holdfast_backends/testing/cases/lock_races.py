"""Locks and many who want them at once; and the same message about a lock twice."""

import asyncio

import pytest

from holdfast_backends.errors import ConflictError, LockNotHeldError
from holdfast_backends.operations import Acquire, Identity, Operation, Release, Renew, Save
from holdfast_backends.outcomes import Failed, Leased
from holdfast_backends.testing.cases.identity import twice
from holdfast_backends.testing.harness import (
    AnyBackend,
    ManualClock,
    expect,
    failure,
    identify,
    perform,
    save,
)
from holdfast_backends.testing.telling import (
    LEASE_SECONDS,
    LOCK,
    acquire,
    holder,
    release,
    renew,
)

ME = identify()


@pytest.mark.asyncio(loop_scope="session")
class TestLocksAtOnce:
    async def test_of_many_who_want_it_one_gets_it(self, backend: AnyBackend) -> None:
        outcomes = await asyncio.gather(
            *(perform(backend, Acquire(LOCK, f"o{n}", 10)) for n in range(30))
        )
        (winner,) = [outcome for outcome in outcomes if isinstance(outcome, Leased)]
        losers = [outcome for outcome in outcomes if isinstance(outcome, Failed)]
        assert {type(loser.error) for loser in losers} == {ConflictError}
        assert (await holder(backend))[:5] == winner[:5]
        assert winner.token == 1

    async def test_of_many_in_one_call_the_first_gets_it(self, backend: AnyBackend) -> None:
        outcomes = await backend.execute([Acquire(LOCK, f"o{n}", 10) for n in range(10)])
        assert [type(outcome) for outcome in outcomes] == [Leased] + [Failed] * 9

    async def test_of_many_who_take_over_one_does(
        self, backend: AnyBackend, clock: ManualClock
    ) -> None:
        await acquire(backend)
        clock.advance(LEASE_SECONDS)
        outcomes = await asyncio.gather(
            *(perform(backend, Acquire(LOCK, f"o{n}", 10)) for n in range(20)),
            *(perform(backend, Renew(LOCK, 1, 10)) for _ in range(10)),
        )
        (winner,) = [outcome for outcome in outcomes if isinstance(outcome, Leased)]
        assert winner.token == 2

    async def test_of_many_releases_one_succeeds(self, backend: AnyBackend) -> None:
        await acquire(backend)
        outcomes = await asyncio.gather(*(perform(backend, Release(LOCK, 1)) for _ in range(20)))
        assert sum(isinstance(outcome, Leased) for outcome in outcomes) == 1

    async def test_those_who_take_turns_are_never_inside_together(
        self, backend: AnyBackend
    ) -> None:
        inside: list[int] = []
        tokens: list[int] = []

        async def take_a_turn(number: int) -> None:
            while True:
                outcome = await perform(backend, Acquire(LOCK, f"o{number}", 10))
                if isinstance(outcome, Leased):
                    break
                await asyncio.sleep(0)
            inside.append(number)
            tokens.append(outcome.token)
            await backend.get(1)
            assert inside == [number]
            inside.remove(number)
            await release(backend, outcome.token)

        await save(backend, {"id": 1})
        async with asyncio.timeout(60):
            await asyncio.gather(*(take_a_turn(number) for number in range(8)))
        assert tokens == list(range(1, 9))

    async def test_locks_and_writes_in_one_call(self, backend: AnyBackend) -> None:
        outcomes = await asyncio.gather(
            *(
                backend.execute([Save({}), Acquire(f"lock {n}", "me", 10), Save({}, "users")])
                for n in range(10)
            )
        )
        assert {type(batch[1]) for batch in outcomes} == {Leased}
        assert (await backend.count(), await backend.count(collection="users")) == (10, 10)


@pytest.mark.asyncio(loop_scope="session")
class TestTheSameMessageAboutALock:
    async def test_an_acquisition_is_answered_alike(self, backend: AnyBackend) -> None:
        first, second = await twice(backend, Leased, Acquire(LOCK, "me", 10, ME))
        assert second[:5] == first[:5]
        assert (first.replayed, second.replayed) == (False, True)
        assert second.sequence == first.sequence

    async def test_also_when_the_lock_is_another_ones_by_now(
        self, backend: AnyBackend, clock: ManualClock
    ) -> None:
        first = await acquire(backend, identity=ME)
        clock.advance(LEASE_SECONDS)
        now = await acquire(backend, owner="other")
        assert (await acquire(backend, identity=ME))[:5] == first[:5]
        assert (await holder(backend))[:5] == now[:5]

    async def test_at_once_it_is_acquired_once(self, backend: AnyBackend) -> None:
        leases = await asyncio.gather(*(acquire(backend, identity=ME) for _ in range(10)))
        assert {lease.token for lease in leases} == {1}
        assert sorted(lease.replayed for lease in leases) == [False] + [True] * 9

    async def test_that_it_was_held_is_answered_again(self, backend: AnyBackend) -> None:
        await acquire(backend, owner="other")
        first = await failure(backend, Acquire(LOCK, "me", 10, ME))
        await release(backend, 1)
        again = await failure(backend, Acquire(LOCK, "me", 10, ME))
        assert (type(again.error), again.replayed) == (ConflictError, True)
        assert again.error.details == first.error.details
        assert again.error.message == first.error.message

    async def test_a_renewal_does_not_count_again(
        self, backend: AnyBackend, clock: ManualClock
    ) -> None:
        await acquire(backend)
        first, second = await twice(backend, Leased, Renew(LOCK, 1, 10, ME))
        clock.advance(5)
        third = expect(Leased, await perform(backend, Renew(LOCK, 1, 10, ME)))
        assert second[:5] == third[:5] == first[:5]
        assert (await holder(backend)).expires_at == first.expires_at

    async def test_a_release_leaves_the_next_holder_alone(self, backend: AnyBackend) -> None:
        await acquire(backend)
        first = expect(Leased, await perform(backend, Release(LOCK, 1, ME)))
        await acquire(backend)
        again = expect(Leased, await perform(backend, Release(LOCK, 1, ME)))
        assert (again[:5], again.replayed) == (first[:5], True)
        assert (await holder(backend)).token == 2

    @pytest.mark.parametrize("operation", [Renew(LOCK, 1, 10, ME), Release(LOCK, 1, ME)])
    async def test_that_it_was_not_held_is_answered_again(
        self, backend: AnyBackend, operation: Operation
    ) -> None:
        await failure(backend, operation)
        await acquire(backend)
        again = await failure(backend, operation)
        assert (type(again.error), again.replayed) == (LockNotHeldError, True)
        await renew(backend, 1)

    async def test_another_payload_under_its_id_is_a_conflict(self, backend: AnyBackend) -> None:
        await acquire(backend, identity=ME)
        other = Identity(ME.sender, ME.message_id, b"other")
        failed = await failure(backend, Release(LOCK, 1, other))
        assert (type(failed.error), failed.replayed) == (ConflictError, False)
        assert (await holder(backend)).token == 1
