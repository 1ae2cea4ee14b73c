"""Stores that outlive their process: opened again, and by several at once."""

import asyncio

import pytest

from holdfast_backends.errors import ConflictError, TaskNotFoundError
from holdfast_backends.operations import Index, Save, Transaction, Update
from holdfast_backends.outcomes import Failed, IndexState, Saved
from holdfast_backends.testing.cases.indexes import until_ready
from holdfast_backends.testing.harness import (
    AnyBackend,
    ManualClock,
    OpenBackend,
    delete,
    exactly,
    expect,
    failure,
    find,
    finding,
    get,
    identify,
    ids_of,
    perform,
    save,
    save_all,
)
from holdfast_backends.values import JsonObject


@pytest.mark.asyncio(loop_scope="session")
class TestOpenedAgain:
    async def test_records_are_there(self, open_backend: OpenBackend, clock: ManualClock) -> None:
        document: JsonObject = {"a": [-0.0, 1e22, 1, 2**53 + 1], "é": {"": None}}
        async with open_backend(clock) as backend:
            saved = await save(backend, document, ttl_seconds=60)
        async with open_backend(clock) as backend:
            found = (await get(backend, 1)).record
            assert found == saved.record
            assert exactly(found.value) == exactly({"id": 1, **document})

    async def test_ids_go_on(self, open_backend: OpenBackend, clock: ManualClock) -> None:
        async with open_backend(clock) as backend:
            await save_all(backend, [{}, {}, {"id": 10}])
            await delete(backend, 10)
        async with open_backend(clock) as backend:
            assert (await backend.save({}))["id"] == 11

    async def test_versions_go_on(self, open_backend: OpenBackend, clock: ManualClock) -> None:
        async with open_backend(clock) as backend:
            await save_all(backend, [{"id": 1}, {"id": 1}])
            await delete(backend, 1)
        async with open_backend(clock) as backend:
            assert (await save(backend, {"id": 1})).record.version == 3

    async def test_identities_are_known(
        self, open_backend: OpenBackend, clock: ManualClock
    ) -> None:
        async with open_backend(clock) as backend:
            first = await save(backend, {"a": 1}, identity=identify())
            await failure(backend, Update(7, {}, identity=identify("missed")))
        async with open_backend(clock) as backend:
            second = await save(backend, {"a": 1}, identity=identify())
            assert (second.record, second.replayed) == (first.record, True)
            missed = await failure(backend, Update(7, {}, identity=identify("missed")))
            assert (type(missed.error), missed.replayed) == (TaskNotFoundError, True)
            assert await backend.count() == 1

    async def test_indexes_are_there(self, open_backend: OpenBackend, clock: ManualClock) -> None:
        async with open_backend(clock) as backend:
            await save_all(backend, [{"v": number} for number in range(50)])
            await perform(backend, Index(paths=("v",)))
            await until_ready(backend)
        async with open_backend(clock) as backend:
            state = expect(IndexState, await perform(backend, Index()))
            assert state == IndexState(("v",), True)
            page = await find(backend, finding({"v": {"$gte": 48}}, sort=[["v", "desc"]]))
            assert ids_of(page) == [50, 49]

    async def test_an_unfinished_index_is_finished(
        self, open_backend: OpenBackend, clock: ManualClock
    ) -> None:
        async with open_backend(clock) as backend:
            await save_all(backend, [{"v": number} for number in range(1_000)])
            await perform(backend, Index(paths=("v",)))
        async with open_backend(clock) as backend:
            await until_ready(backend)
            page = await find(backend, finding({"v": {"$gte": 998}}, sort=[["v", "desc"]]))
            assert ids_of(page) == [1_000, 999]

    async def test_what_expired_meanwhile_is_gone(
        self, open_backend: OpenBackend, clock: ManualClock
    ) -> None:
        async with open_backend(clock) as backend:
            await save(backend, {"id": 1}, ttl_seconds=10)
        clock.advance(11)
        async with open_backend(clock) as backend:
            assert await backend.list_all() == []
            assert (await save(backend, {"id": 1})).record.version == 2

    async def test_a_failed_transaction_left_nothing(
        self, open_backend: OpenBackend, clock: ManualClock
    ) -> None:
        async with open_backend(clock) as backend:
            await failure(backend, Transaction((Save({"id": 5}), Update(9, {}))))
        async with open_backend(clock) as backend:
            assert await backend.list_all() == []
            assert (await backend.save({}))["id"] == 1

    async def test_a_cursor_goes_on(self, open_backend: OpenBackend, clock: ManualClock) -> None:
        async with open_backend(clock) as backend:
            await save_all(backend, [{} for _ in range(5)])
            cursor = (await find(backend, finding(limit=2))).next_cursor
        async with open_backend(clock) as backend:
            assert ids_of(await find(backend, finding(cursor=cursor))) == [3, 4, 5]


@pytest.mark.asyncio(loop_scope="session")
class TestTwoAtOnce:
    async def test_each_sees_what_the_other_wrote(
        self, open_backend: OpenBackend, clock: ManualClock
    ) -> None:
        async with open_backend(clock) as one, open_backend(clock) as other:
            await one.save({"a": 1})
            assert await other.get(1) == {"id": 1, "a": 1}
            await other.update(1, {"a": 2})
            assert await one.get(1) == {"id": 1, "a": 2}

    async def test_ids_have_no_gap_and_none_twice(
        self, open_backend: OpenBackend, clock: ManualClock
    ) -> None:
        async with open_backend(clock) as one, open_backend(clock) as other:
            both = [one, other]
            saved = await asyncio.gather(*(save(both[n % 2], {"n": n}) for n in range(100)))
            assert {outcome.record.id for outcome in saved} == set(range(1, 101))
            assert await one.count() == 100

    async def test_increments_add_up(self, open_backend: OpenBackend, clock: ManualClock) -> None:
        async with open_backend(clock) as one, open_backend(clock) as other:
            await save(one, {"id": 1, "n": 0})
            both = [one, other]
            await asyncio.gather(*(both[n % 2].update(1, increment={"n": 1}) for n in range(60)))
            assert await one.get(1) == {"id": 1, "n": 60}

    async def test_one_of_many_creators_wins(
        self, open_backend: OpenBackend, clock: ManualClock
    ) -> None:
        async with open_backend(clock) as one, open_backend(clock) as other:
            both = [one, other]
            outcomes = await asyncio.gather(
                *(perform(both[n % 2], Save({"id": "x"}, if_version=0)) for n in range(30))
            )
            assert [type(outcome) for outcome in outcomes].count(Saved) == 1
            losers = [outcome.error for outcome in outcomes if isinstance(outcome, Failed)]
            assert {type(error) for error in losers} == {ConflictError}

    async def test_a_message_to_both_takes_effect_once(
        self, open_backend: OpenBackend, clock: ManualClock
    ) -> None:
        async with open_backend(clock) as one, open_backend(clock) as other:
            both = [one, other]
            outcomes = await asyncio.gather(
                *(save(both[n % 2], {"a": 1}, identity=identify()) for n in range(20))
            )
            assert sorted(outcome.replayed for outcome in outcomes) == [False] + [True] * 19
            assert await one.list_all() == [{"id": 1, "a": 1}]

    async def test_a_transaction_is_whole_for_the_other(
        self, open_backend: OpenBackend, clock: ManualClock
    ) -> None:
        async with open_backend(clock) as one, open_backend(clock) as other:
            await save_all(one, [{"id": 1, "n": 0}, {"id": 2, "n": 0}])
            await asyncio.gather(self._write(one), self._read(other), self._write(other))
            assert [document["n"] for document in await one.list_all()] == [30, 30]

    async def _write(self, backend: AnyBackend) -> None:
        for _ in range(15):
            both = (Update(1, increment={"n": 1}), Update(2, increment={"n": 1}))
            await perform(backend, Transaction(both))

    async def _read(self, backend: AnyBackend) -> None:
        for _ in range(15):
            left, right = await backend.list_all()
            assert left["n"] == right["n"]

    async def test_indexes_that_one_replaced_mislead_not_the_other(
        self, open_backend: OpenBackend, clock: ManualClock
    ) -> None:
        async with open_backend(clock) as one, open_backend(clock) as other:
            await save_all(one, [{"v": number, "w": -number} for number in range(10)])
            for path, expected in (("v", [10, 9]), ("w", [1, 2]), ("v", [10, 9])):
                await perform(one, Index(paths=(path,)))
                await until_ready(one)
                for backend in (one, other):
                    for asked, first in (("v", [10, 9]), ("w", [1, 2]), (path, expected)):
                        sort = [[asked, "desc"]]
                        operation = finding({asked: {"$gt": -9}}, sort=sort, limit=2)
                        page = await find(backend, operation)
                        assert ids_of(page) == first

    async def test_what_one_wrote_without_an_index_is_found_by_the_other(
        self, open_backend: OpenBackend, clock: ManualClock
    ) -> None:
        async with open_backend(clock) as one, open_backend(clock) as other:
            await save_all(one, [{"v": number} for number in range(10)])
            await perform(one, Index(paths=("v",)))
            await until_ready(one)
            operation = finding({"v": {"$gt": 7}}, sort=[["v", "asc"]], limit=5)
            assert ids_of(await find(other, operation)) == [9, 10]
            await perform(one, Index(paths=()))
            await one.update(1, {"v": 100})
            assert ids_of(await find(other, operation)) == [9, 10, 1]
            await delete(other, 10)
            assert ids_of(await find(one, operation)) == [9, 1]
            await perform(other, Index(paths=("v",)))
            await until_ready(other)
            assert ids_of(await find(one, operation)) == [9, 1]

    async def test_a_ttl_of_one_ends_for_the_other(
        self, open_backend: OpenBackend, clock: ManualClock
    ) -> None:
        async with open_backend(clock) as one, open_backend(clock) as other:
            await save(one, {"id": 1}, ttl_seconds=10)
            assert await other.count() == 1
            clock.advance(11)
            assert await other.sweep() == 1
            assert await one.list_all() == []

    async def test_an_index_of_one_is_used_by_the_other(
        self, open_backend: OpenBackend, clock: ManualClock
    ) -> None:
        async with open_backend(clock) as one, open_backend(clock) as other:
            await save_all(one, [{"v": number} for number in range(300)])
            await perform(one, Index(paths=("v",)))
            await save(other, {"v": 1_000})
            await other.update(1, {"v": 900})
            await until_ready(one)
            await until_ready(other)
            for backend in (one, other):
                page = await find(backend, finding({"v": {"$gt": 500}}, sort=[["v", "asc"]]))
                assert ids_of(page) == [1, 301]
