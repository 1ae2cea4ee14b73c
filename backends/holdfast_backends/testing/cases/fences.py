"""Fences: a write takes effect only while its lease holds."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeAlias

import pytest

from holdfast_backends.errors import ConflictError, InvalidValueError
from holdfast_backends.operations import (
    Acquire,
    Delete,
    Fence,
    Identity,
    Operation,
    Release,
    Save,
    Transaction,
    Update,
)
from holdfast_backends.outcomes import Batched, Failed, Found, Saved
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
    ANOTHER,
    LEASE_SECONDS,
    LOCK,
    acquire,
    release,
    renew,
    told,
)

ME = identify()
MINE = Fence(LOCK, 1)

Write: TypeAlias = Callable[[Fence, Identity | None], Operation]

WRITES: dict[str, Write] = {
    "save": lambda fence, me: Save({"n": 1}, identity=me, fence=fence),
    "create": lambda fence, me: Save({"id": "new"}, identity=me, fence=fence),
    "replace": lambda fence, me: Save({"id": 1}, identity=me, fence=fence),
    "update": lambda fence, me: Update(1, {"n": 1}, identity=me, fence=fence),
    "delete": lambda fence, me: Delete(1, identity=me, fence=fence),
    "transaction": lambda fence, me: Transaction(
        (Save({}), Update(1, {"n": 1})), identity=me, fence=fence
    ),
    "each for itself": lambda fence, me: Transaction(
        (Save({}), Delete(99)), atomic=False, identity=me, fence=fence
    ),
    "inside a transaction": lambda fence, me: Transaction(
        (Save({}), Update(1, {"n": 1}, fence=fence)), identity=me
    ),
}


async def refusal(backend: AnyBackend, operation: Operation, current: int | None) -> Failed:
    """The failure of a fenced write, which changed nothing."""
    before = await told(backend)
    failed = await failure(backend, operation)
    assert type(failed.error) is ConflictError
    named = {"lock": LOCK, "current_token": current}
    assert {key: failed.error.details[key] for key in named} == named
    assert await told(backend) == before
    return failed


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
class TestFencedWrites:
    async def test_while_the_lease_holds(self, backend: AnyBackend, write: Write) -> None:
        await save(backend, {"id": 1})
        await acquire(backend)
        assert isinstance(await perform(backend, write(MINE, None)), (Saved, Found, Batched))

    async def test_to_its_last_moment_and_not_longer(
        self, backend: AnyBackend, clock: ManualClock, write: Write
    ) -> None:
        await save(backend, {"id": 1})
        await acquire(backend)
        clock.advance(LEASE_SECONDS)
        await refusal(backend, write(MINE, None), None)
        clock.advance(-0.000001)
        assert not isinstance(await perform(backend, write(MINE, None)), Failed)

    async def test_a_renewed_lease(
        self, backend: AnyBackend, clock: ManualClock, write: Write
    ) -> None:
        await save(backend, {"id": 1})
        await acquire(backend)
        clock.advance(LEASE_SECONDS - 1)
        await renew(backend, 1)
        clock.advance(LEASE_SECONDS - 1)
        assert not isinstance(await perform(backend, write(MINE, None)), Failed)

    async def test_a_released_lock(self, backend: AnyBackend, write: Write) -> None:
        await save(backend, {"id": 1})
        await acquire(backend)
        await release(backend, 1)
        await refusal(backend, write(MINE, None), None)

    async def test_a_lock_that_was_never_held(self, backend: AnyBackend, write: Write) -> None:
        await save(backend, {"id": 1})
        await refusal(backend, write(MINE, None), None)

    async def test_an_old_token(
        self, backend: AnyBackend, clock: ManualClock, write: Write
    ) -> None:
        await save(backend, {"id": 1})
        await acquire(backend)
        clock.advance(LEASE_SECONDS)
        await acquire(backend)
        await refusal(backend, write(MINE, None), 2)
        assert not isinstance(await perform(backend, write(Fence(LOCK, 2), None)), Failed)

    async def test_a_token_that_nobody_has_yet(self, backend: AnyBackend, write: Write) -> None:
        await save(backend, {"id": 1})
        await acquire(backend)
        await refusal(backend, write(Fence(LOCK, 2), None), 1)

    async def test_the_token_of_another_lock(self, backend: AnyBackend, write: Write) -> None:
        await save(backend, {"id": 1})
        await acquire(backend, ANOTHER)
        await refusal(backend, write(MINE, None), None)

    async def test_what_succeeded_is_answered_again_when_the_lease_has_ended(
        self, backend: AnyBackend, clock: ManualClock, write: Write
    ) -> None:
        await save(backend, {"id": 1})
        await acquire(backend)
        assert not isinstance(await perform(backend, write(MINE, ME)), Failed)
        clock.advance(LEASE_SECONDS)
        before = await told(backend)
        again = await perform(backend, write(MINE, ME))
        assert isinstance(again, (Saved, Found, Batched))
        assert again.replayed
        assert await told(backend) == before

    async def test_what_was_refused_stays_refused(self, backend: AnyBackend, write: Write) -> None:
        await save(backend, {"id": 1})
        first = await refusal(backend, write(MINE, ME), None)
        await acquire(backend)
        again = await failure(backend, write(MINE, ME))
        assert (type(again.error), again.replayed) == (ConflictError, True)
        assert again.error.details == first.error.details
        assert again.error.message == first.error.message


@pytest.mark.asyncio(loop_scope="session")
class TestFencesInACall:
    async def test_they_see_what_the_call_did_before_them(self, backend: AnyBackend) -> None:
        outcomes = await backend.execute(
            [
                Save({}, fence=MINE),
                Acquire(LOCK, "me", 10),
                Save({}, fence=MINE),
                Release(LOCK, 1),
                Save({}, fence=MINE),
                Save({}),
            ]
        )
        assert [isinstance(outcome, Saved) for outcome in outcomes] == [
            *[False, False, True, False, False, True]
        ]
        assert await backend.count() == 2

    async def test_each_write_has_its_own(self, backend: AnyBackend) -> None:
        await acquire(backend)
        await acquire(backend, ANOTHER)
        fences = [MINE, Fence(LOCK, 2), Fence(ANOTHER, 1), Fence("never", 1), None]
        outcomes = await backend.execute([Save({}, fence=fence) for fence in fences])
        assert [isinstance(outcome, Saved) for outcome in outcomes] == [
            *[True, False, True, False, True]
        ]

    async def test_the_whole_of_a_transaction_is_refused_without_a_place(
        self, backend: AnyBackend
    ) -> None:
        failed = await refusal(backend, WRITES["transaction"](MINE, None), None)
        assert failed.index is None

    async def test_inside_a_transaction_the_place_is_named(self, backend: AnyBackend) -> None:
        await save(backend, {"id": 1})
        failed = await refusal(backend, WRITES["inside a transaction"](MINE, None), None)
        assert failed.index == 1

    async def test_a_release_at_once_lets_each_write_in_whole_or_not(
        self, backend: AnyBackend
    ) -> None:
        await acquire(backend)
        both = Transaction((Save({}), Save({}, "users")), fence=MINE)
        writing = [perform(backend, both) for _ in range(20)]
        outcomes = await asyncio.gather(*writing[:10], release(backend, 1), *writing[10:])
        done = sum(isinstance(outcome, Batched) for outcome in outcomes)
        assert await backend.count() == await backend.count(collection="users") == done
        await refusal(backend, both, None)

    @pytest.mark.parametrize(
        ("lock", "token", "place"),
        [
            ("", 1, "lock"),
            ("a\0", 1, "lock"),
            (1, 1, "lock"),
            ("a", 0, "token"),
            ("a", "1", "token"),
        ],
        ids=repr,
    )
    async def test_what_is_no_fence_is_refused(self, lock: Any, token: Any, place: str) -> None:
        with pytest.raises(InvalidValueError) as caught:
            Fence(lock, token)
        assert caught.value.loc == ("fence", place)

    async def test_a_save_without_one_asks_no_lock(self, backend: AnyBackend) -> None:
        await acquire(backend, owner="other")
        assert expect(Saved, await perform(backend, Save({}))).created
