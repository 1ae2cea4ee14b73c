"""Expiry to the microsecond, in transactions, in indexes, and for ids and versions."""

import pytest

from holdfast_backends.errors import ConflictError, TaskNotFoundError
from holdfast_backends.operations import Count, Delete, Find, Get, Save, Transaction, Update
from holdfast_backends.outcomes import Batched, Counted, Failed, Found, Page, Saved
from holdfast_backends.testing.cases.identity import drain
from holdfast_backends.testing.cases.indexes import declare, until_ready
from holdfast_backends.testing.harness import (
    AnyBackend,
    ManualClock,
    count,
    delete,
    expect,
    failure,
    find,
    finding,
    get,
    ids_of,
    perform,
    save,
    transact,
)


@pytest.mark.asyncio(loop_scope="session")
class TestTheMomentOfExpiry:
    async def test_it_is_there_until_the_microsecond_before(
        self, backend: AnyBackend, clock: ManualClock
    ) -> None:
        await save(backend, {"id": 1}, ttl_seconds=0.000002)
        clock.now += 1
        assert (await get(backend, 1)).record.id == 1
        assert await count(backend) == 1
        assert ids_of(await find(backend, finding())) == [1]
        clock.now += 1
        assert type((await failure(backend, Get(1))).error) is TaskNotFoundError
        assert await count(backend) == 0
        assert ids_of(await find(backend, finding())) == []

    async def test_the_sweep_takes_it_at_that_moment_and_not_before(
        self, backend: AnyBackend, clock: ManualClock
    ) -> None:
        await save(backend, {"id": 1}, ttl_seconds=1)
        clock.advance(0.999999)
        assert await backend.sweep() == 0
        clock.advance(0.000001)
        assert await backend.sweep() == 1

    async def test_the_whole_of_a_call_sees_one_moment(
        self, backend: AnyBackend, clock: ManualClock
    ) -> None:
        outcomes = await backend.execute(
            [Save({"id": 1}, ttl_seconds=0.000001), Get(1), Count(), Update(1, {"a": 1})]
        )
        assert [type(outcome) for outcome in outcomes] == [Saved, Found, Counted, Found]
        clock.now += 1
        await failure(backend, Get(1))


@pytest.mark.asyncio(loop_scope="session")
class TestWhatExpiryLeaves:
    async def test_creating_in_its_place(self, backend: AnyBackend, clock: ManualClock) -> None:
        await save(backend, {"id": 1}, ttl_seconds=1)
        clock.advance(1)
        saved = await save(backend, {"id": 1}, if_version=0)
        assert (saved.created, saved.record.version) == (True, 2)

    @pytest.mark.parametrize("swept", [False, True], ids=["there still", "swept"])
    async def test_its_version_is_not_that_of_a_record(
        self, backend: AnyBackend, clock: ManualClock, swept: bool
    ) -> None:
        await save(backend, {"id": 1}, ttl_seconds=1)
        clock.advance(1)
        if swept:
            await drain(backend)
        failed = await failure(backend, Save({"id": 1}, if_version=1))
        assert type(failed.error) is ConflictError
        assert failed.error.details == {"current_version": 0}
        for operation in (Update(1, {}, if_version=1), Delete(1, if_version=1)):
            assert type((await failure(backend, operation)).error) is TaskNotFoundError

    @pytest.mark.parametrize("swept", [False, True], ids=["there still", "swept"])
    async def test_its_id_and_version_are_never_given_again(
        self, backend: AnyBackend, clock: ManualClock, swept: bool
    ) -> None:
        await save(backend, {}, ttl_seconds=1)
        clock.advance(1)
        if swept:
            await drain(backend)
        assert (await save(backend, {})).record.id == 2
        assert (await save(backend, {"id": 1})).record.version == 2

    async def test_an_update_before_it_keeps_the_end(
        self, backend: AnyBackend, clock: ManualClock
    ) -> None:
        await save(backend, {"id": 1, "n": 0}, ttl_seconds=1)
        await backend.update(1, increment={"n": 1})
        clock.advance(1)
        await failure(backend, Update(1, increment={"n": 1}))
        assert await backend.list_all() == []

    async def test_a_deleted_one_expires_no_more(
        self, backend: AnyBackend, clock: ManualClock
    ) -> None:
        await save(backend, {"id": 1}, ttl_seconds=1)
        await delete(backend, 1)
        clock.advance(1)
        assert await backend.sweep() == 0


@pytest.mark.asyncio(loop_scope="session")
class TestExpiryInTransactionsAndIndexes:
    async def test_transactions_do_not_see_it(
        self, backend: AnyBackend, clock: ManualClock
    ) -> None:
        await save(backend, {"id": 1}, ttl_seconds=1)
        clock.advance(1)
        outcomes = await transact(
            backend, Get(1), Count(), finding(), Update(1, {}), Delete(1), atomic=False
        )
        kinds = [type(outcome) for outcome in outcomes]
        assert kinds == [Failed, Counted, Page, Failed, Failed]
        assert expect(Counted, outcomes[1]).count == 0
        assert ids_of(expect(Page, outcomes[2])) == []

    async def test_an_atomic_one_that_needs_it_is_undone(
        self, backend: AnyBackend, clock: ManualClock
    ) -> None:
        await save(backend, {"id": 1}, ttl_seconds=1)
        clock.advance(1)
        failed = await failure(backend, Transaction((Save({}), Update(1, {}))))
        assert (type(failed.error), failed.index) == (TaskNotFoundError, 1)
        assert await backend.list_all() == []

    async def test_a_transaction_may_make_it_again(
        self, backend: AnyBackend, clock: ManualClock
    ) -> None:
        await save(backend, {"id": 1, "old": True}, ttl_seconds=1)
        clock.advance(1)
        outcome = await perform(backend, Transaction((Save({"id": 1}), Get(1), Count())))
        saved, found, counted = expect(Batched, outcome).outcomes
        assert (expect(Saved, saved).created, expect(Saved, saved).record.version) == (True, 2)
        assert expect(Found, found).record.value == {"id": 1}
        assert expect(Counted, counted).count == 1

    async def test_indexes_do_not_bring_it_back(
        self, backend: AnyBackend, clock: ManualClock
    ) -> None:
        for number in range(1, 7):
            ttl = 1 if number % 2 else None
            await save(backend, {"id": number, "n": number}, ttl_seconds=ttl)
        await declare(backend, ("n",))
        await until_ready(backend)
        asked: list[Find] = [
            finding({"n": {"$gte": 1}}),
            finding(sort=[["n", "asc"]]),
            finding(sort=[["n", "asc"]], limit=2),
            finding({"n": {"$in": [1, 2, 3]}}, limit=1),
        ]
        clock.advance(1)
        for swept in (False, True):
            if swept:
                await drain(backend)
            pages = [await find(backend, operation) for operation in asked]
            assert [ids_of(page) for page in pages] == [[2, 4, 6], [2, 4, 6], [2, 4], [2]]
            assert await count(backend, {"n": {"$lt": 4}}) == 1
