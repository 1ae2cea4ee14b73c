"""Messages that came too late, and messages that their senders do not want any more."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

import pytest

from holdfast_backends.errors import (
    ConflictError,
    DeadlineError,
    RequestCancelledError,
    TaskNotFoundError,
)
from holdfast_backends.operations import (
    Acquire,
    Delete,
    Identity,
    Operation,
    Release,
    Renew,
    Save,
    Transaction,
    Update,
)
from holdfast_backends.outcomes import Batched, Failed, Found, Leased, Outcome, Saved
from holdfast_backends.testing.cases.identity import drain, is_replayed
from holdfast_backends.testing.harness import (
    DAY_SECONDS,
    MICROSECONDS,
    AnyBackend,
    ManualClock,
    expect,
    failure,
    identify,
    perform,
    save,
    save_all,
)
from holdfast_backends.testing.telling import LOCK, acquire, holder, release, told

ME = identify()
WITHDRAWN = replace(ME, cancelled=True)

Write: TypeAlias = Callable[[Identity], Operation]

WRITES: dict[str, Write] = {
    "save": lambda me: Save({"n": 1}, identity=me),
    "replace": lambda me: Save({"id": 1, "n": 1}, identity=me),
    "update": lambda me: Update(1, increment={"n": 1}, identity=me),
    "delete": lambda me: Delete(1, identity=me),
    "transaction": lambda me: Transaction((Save({}), Delete(1)), identity=me),
    "each for itself": lambda me: Transaction((Save({}), Delete(1)), atomic=False, identity=me),
    "acquire": lambda me: Acquire("mine", "me", 10, me),
    "renew": lambda me: Renew(LOCK, 1, 10, me),
    "release": lambda me: Release(LOCK, 1, me),
}


async def prepare(backend: AnyBackend) -> None:
    """A record and a lock that all of the writes can succeed on."""
    await save(backend, {"id": 1, "n": 0})
    await acquire(backend)


async def state(backend: AnyBackend) -> Any:
    """What the writes would change."""
    lock = await holder(backend)
    taken = await failure(backend, Release("mine", 1))
    return await told(backend), await backend.list_all(), lock, type(taken.error)


def replay_of(first: Outcome) -> Outcome:
    """The same outcome, as it is told to a duplicate."""
    if isinstance(first, Batched):
        return replace(first, replayed=True)
    assert isinstance(first, (Saved, Found, Leased))
    return first._replace(replayed=True)


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
class TestDeadlines:
    async def test_before_it_the_write_is_executed(
        self, backend: AnyBackend, clock: ManualClock, write: Write
    ) -> None:
        await prepare(backend)
        outcome = await perform(backend, write(replace(ME, deadline=clock.now + 1)))
        assert not isinstance(outcome, Failed)

    @pytest.mark.parametrize("late", [0, 1, 10 * DAY_SECONDS * MICROSECONDS])
    async def test_from_then_on_it_is_not(
        self, backend: AnyBackend, clock: ManualClock, write: Write, late: int
    ) -> None:
        await prepare(backend)
        before = await state(backend)
        failed = await failure(backend, write(replace(ME, deadline=clock.now - late)))
        assert (type(failed.error), failed.replayed) == (DeadlineError, False)
        assert await state(backend) == before

    async def test_with_a_later_one_it_is_executed_after_all(
        self, backend: AnyBackend, clock: ManualClock, write: Write
    ) -> None:
        await prepare(backend)
        for _ in range(2):
            failed = await failure(backend, write(replace(ME, deadline=clock.now)))
            assert not failed.replayed
        outcome = await perform(backend, write(replace(ME, deadline=clock.now + MICROSECONDS)))
        assert not isinstance(outcome, Failed)
        assert not is_replayed(outcome)

    async def test_what_was_executed_is_answered_again_after_it(
        self, backend: AnyBackend, clock: ManualClock, write: Write
    ) -> None:
        await prepare(backend)
        first = await perform(backend, write(ME))
        again = await perform(backend, write(replace(ME, deadline=clock.now - 1)))
        assert again == replay_of(first)


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
class TestCancelledMessages:
    async def test_an_unknown_one_is_not_executed(self, backend: AnyBackend, write: Write) -> None:
        await prepare(backend)
        before = await state(backend)
        failed = await failure(backend, write(WITHDRAWN))
        assert (type(failed.error), failed.replayed) == (RequestCancelledError, False)
        assert await state(backend) == before

    async def test_and_never_will_be(
        self, backend: AnyBackend, clock: ManualClock, write: Write
    ) -> None:
        await prepare(backend)
        first = await failure(backend, write(WITHDRAWN))
        before = await state(backend)
        for again in (ME, WITHDRAWN, replace(ME, deadline=clock.now - 1)):
            failed = await failure(backend, write(again))
            assert (type(failed.error), failed.replayed) == (RequestCancelledError, True)
            assert failed.error.message == first.error.message
        assert await state(backend) == before

    async def test_one_that_was_executed_keeps_its_answer(
        self, backend: AnyBackend, write: Write
    ) -> None:
        await prepare(backend)
        first = await perform(backend, write(ME))
        assert not isinstance(first, Failed)
        assert await perform(backend, write(WITHDRAWN)) == replay_of(first)
        assert await perform(backend, write(ME)) == replay_of(first)

    async def test_that_it_was_cancelled_counts_more_than_that_it_is_late(
        self, backend: AnyBackend, clock: ManualClock, write: Write
    ) -> None:
        await prepare(backend)
        failed = await failure(backend, write(replace(WITHDRAWN, deadline=clock.now - 1)))
        assert type(failed.error) is RequestCancelledError


@pytest.mark.asyncio(loop_scope="session")
class TestWithdrawnAmongOthers:
    @pytest.mark.parametrize("known", [False, True], ids=["new collection", "known collection"])
    async def test_of_many_saves_only_they_are_left_out(
        self, backend: AnyBackend, clock: ManualClock, known: bool
    ) -> None:
        if known:
            await save_all(backend, [{}, {}])
        late = replace(identify("late"), deadline=clock.now)
        unwanted = replace(identify("unwanted"), cancelled=True)
        identities = [identify("a"), late, identify("b"), unwanted, None]
        outcomes = await backend.execute([Save({}, identity=one) for one in identities])
        first = 3 if known else 1
        assert [getattr(one, "sequence", 0) for one in outcomes if isinstance(one, Saved)] == [
            *[first, first + 1, first + 2]
        ]
        assert type(expect(Failed, outcomes[1]).error) is DeadlineError
        assert type(expect(Failed, outcomes[3]).error) is RequestCancelledError
        assert await backend.count() == first + 2
        again = [replace(late, deadline=None), replace(unwanted, cancelled=False)]
        executed = await backend.execute([Save({}, identity=one) for one in again])
        assert expect(Saved, executed[0]).record.id == first + 3
        assert expect(Failed, executed[1]).replayed

    async def test_a_late_one_that_was_executed_keeps_its_answer_beside_new_ones(
        self, backend: AnyBackend, clock: ManualClock
    ) -> None:
        await save_all(backend, [{}, {}])
        first = await perform(backend, Save({"n": 1}, identity=ME))
        late = Save({"n": 1}, identity=replace(ME, deadline=clock.now - 1))
        for number in (4, 5):
            outcomes = await backend.execute([late, Save({}, identity=identify(f"new {number}"))])
            assert outcomes[0] == replay_of(first)
            assert expect(Saved, outcomes[1]).record.id == number

    @pytest.mark.parametrize("known", [False, True], ids=["new collection", "known collection"])
    async def test_calls_of_nothing_else(
        self, backend: AnyBackend, clock: ManualClock, known: bool
    ) -> None:
        if known:
            await save_all(backend, [{}, {}])
        before = await told(backend)
        late = [replace(identify(f"l{n}"), deadline=clock.now) for n in range(3)]
        unwanted = [replace(identify(f"u{n}"), cancelled=True) for n in range(3)]
        for identities, kind in ((late, DeadlineError), (unwanted, RequestCancelledError)):
            outcomes = await backend.execute([Save({}, identity=one) for one in identities])
            assert {type(expect(Failed, outcome).error) for outcome in outcomes} == {kind}
        assert await told(backend) == before
        assert is_replayed(await failure(backend, Save({}, identity=identify("u1"))))
        assert not is_replayed(await perform(backend, Save({}, identity=identify("l1"))))

    async def test_the_mark_and_the_message_at_once_agree(self, backend: AnyBackend) -> None:
        for number in range(10):
            me = identify(f"m{number}")
            outcomes = await asyncio.gather(
                perform(backend, Save({}, identity=me)),
                perform(backend, Save({}, identity=replace(me, cancelled=True))),
            )
            kinds = {type(outcome) for outcome in outcomes}
            assert len(kinds) == 1
            assert sorted(map(is_replayed, outcomes)) == [False, True]

    async def test_another_payload_under_a_cancelled_id_is_a_conflict(
        self, backend: AnyBackend
    ) -> None:
        await failure(backend, Save({}, identity=WITHDRAWN))
        failed = await failure(backend, Save({"a": 1}, identity=identify(digest="b")))
        assert type(failed.error) is ConflictError

    async def test_a_failure_before_keeps_its_answer(self, backend: AnyBackend) -> None:
        await failure(backend, Delete(9, identity=ME))
        failed = await failure(backend, Delete(9, identity=WITHDRAWN))
        assert (type(failed.error), failed.replayed) == (TaskNotFoundError, True)

    async def test_it_is_forgotten_like_any_answer(
        self, backend: AnyBackend, clock: ManualClock
    ) -> None:
        await failure(backend, Save({}, identity=WITHDRAWN))
        clock.advance(31 * DAY_SECONDS)
        await drain(backend)
        assert not (await save(backend, {}, identity=ME)).replayed

    async def test_a_cancelled_acquisition_leaves_the_lock_free(self, backend: AnyBackend) -> None:
        await failure(backend, Acquire(LOCK, "me", 10, WITHDRAWN))
        assert (await acquire(backend, owner="other")).token == 1
        await release(backend, 1)
