"""Many at once: no id twice, no gap, no lost change, and one winner where there can be one."""

import asyncio

import pytest

from holdfast_backends.errors import ConflictError
from holdfast_backends.operations import Delete, Get, Save, Transaction, Update
from holdfast_backends.outcomes import Batched, Failed, Found, Saved
from holdfast_backends.testing.harness import (
    AnyBackend,
    expect,
    find,
    finding,
    get,
    perform,
    save,
    save_all,
)
from holdfast_backends.values import JsonObject


@pytest.mark.asyncio(loop_scope="session")
class TestManySavesAtOnce:
    async def test_ids_have_no_gap_and_none_twice(self, backend: AnyBackend) -> None:
        saved = await asyncio.gather(*(backend.save({"n": n}) for n in range(100)))
        assert sorted(document["id"] for document in saved) == list(range(1, 101))  # type: ignore[type-var]

    async def test_every_document_is_kept_under_its_id(self, backend: AnyBackend) -> None:
        saved = await asyncio.gather(*(backend.save({"n": n}) for n in range(100)))
        assert sorted(saved, key=str) == sorted(await backend.list_all(), key=str)

    async def test_batches_at_once_have_no_gap_either(self, backend: AnyBackend) -> None:
        batches = await asyncio.gather(*(save_all(backend, [{}] * 20) for _ in range(10)))
        ids = sorted(outcome.record.id for batch in batches for outcome in batch)
        assert ids == list(range(1, 201))

    async def test_failures_among_them_leave_no_gap(self, backend: AnyBackend) -> None:
        await asyncio.gather(
            *(
                perform(backend, Save({"id": 500}, if_version=1) if n % 3 else Save({}))
                for n in range(60)
            )
        )
        assert [document["id"] for document in await backend.list_all()] == list(range(1, 21))

    async def test_failed_transactions_among_them_leave_no_gap(self, backend: AnyBackend) -> None:
        await asyncio.gather(
            *(
                perform(backend, Transaction((Save({}), Get(9_999))) if n % 2 else Save({}))
                for n in range(40)
            )
        )
        assert [document["id"] for document in await backend.list_all()] == list(range(1, 21))

    async def test_explicit_ids_among_them_are_never_given_out(self, backend: AnyBackend) -> None:
        saved = await asyncio.gather(
            *(save(backend, {"id": 10 * n + 5} if n % 4 == 0 else {}) for n in range(60))
        )
        ids = [outcome.record.id for outcome in saved]
        assert len(set(ids)) == 60
        assert all(outcome.created for outcome in saved)

    async def test_collections_count_for_themselves(self, backend: AnyBackend) -> None:
        names = ["a", "b", "c", "d"]
        await asyncio.gather(*(backend.save({}, collection=names[n % 4]) for n in range(80)))
        for name in names:
            listed = await backend.list_all(collection=name)
            assert [document["id"] for document in listed] == list(range(1, 21))

    async def test_batches_over_many_collections_never_block_each_other(
        self, backend: AnyBackend
    ) -> None:
        names = ["a", "b", "c", "d", "e"]
        await asyncio.gather(
            *(backend.execute([Save({}, names[(n + k) % 5]) for k in range(5)]) for n in range(20))
        )
        assert [await backend.count(collection=name) for name in names] == [20] * 5


@pytest.mark.asyncio(loop_scope="session")
class TestManyChangesAtOnce:
    async def test_increments_add_up(self, backend: AnyBackend) -> None:
        await save(backend, {"id": 1, "n": 0})
        await asyncio.gather(*(backend.update(1, increment={"n": 1}) for _ in range(100)))
        found = await get(backend, 1)
        assert (found.record.value["n"], found.record.version) == (100, 101)

    async def test_each_increment_sees_another_sum(self, backend: AnyBackend) -> None:
        await save(backend, {"id": 1, "n": 0})
        seen = await asyncio.gather(*(backend.update(1, increment={"n": 1}) for _ in range(50)))
        assert sorted(document["n"] for document in seen) == list(range(1, 51))  # type: ignore[type-var]

    async def test_appends_lose_nothing(self, backend: AnyBackend) -> None:
        await save(backend, {"id": 1})
        await asyncio.gather(*(backend.update(1, append={"all": [n]}) for n in range(50)))
        appended = (await backend.get(1))["all"]
        assert isinstance(appended, list)
        assert sorted(appended, key=str) == sorted(range(50), key=str)

    async def test_merges_of_different_keys_lose_nothing(self, backend: AnyBackend) -> None:
        await save(backend, {"id": 1})
        await asyncio.gather(*(backend.update(1, {f"k{n}": n}) for n in range(40)))
        expected: JsonObject = {"id": 1, **{f"k{n}": n for n in range(40)}}
        assert await backend.get(1) == expected

    async def test_transfers_between_records_keep_the_sum(self, backend: AnyBackend) -> None:
        await save_all(backend, [{"id": number, "n": 100} for number in range(1, 6)])
        await asyncio.gather(
            *(
                perform(
                    backend,
                    Transaction(
                        (
                            Update(n % 5 + 1, increment={"n": -n}),
                            Update((n + 2) % 5 + 1, increment={"n": n}),
                        )
                    ),
                )
                for n in range(40)
            )
        )
        assert sum(document["n"] for document in await backend.list_all()) == 500  # type: ignore[misc]

    async def test_readers_never_see_half_a_transaction(self, backend: AnyBackend) -> None:
        await save_all(backend, [{"id": 1, "n": 0}, {"id": 2, "n": 0}])
        both = (Update(1, increment={"n": 1}), Update(2, increment={"n": 1}))

        async def write() -> None:
            for _ in range(20):
                expect(Batched, await perform(backend, Transaction(both)))

        async def read() -> None:
            for _ in range(20):
                left, right = (
                    record.value["n"] for record in (await find(backend, finding())).records
                )
                assert left == right

        await asyncio.gather(write(), read(), write(), read())


@pytest.mark.asyncio(loop_scope="session")
class TestOneWinner:
    async def test_of_many_creators(self, backend: AnyBackend) -> None:
        outcomes = await asyncio.gather(
            *(perform(backend, Save({"id": "x", "n": n}, if_version=0)) for n in range(30))
        )
        winners = [outcome for outcome in outcomes if isinstance(outcome, Saved)]
        losers = [outcome for outcome in outcomes if isinstance(outcome, Failed)]
        assert (len(winners), len(losers)) == (1, 29)
        assert {type(loser.error) for loser in losers} == {ConflictError}
        assert (await get(backend, "x")).record == winners[0].record

    async def test_of_many_updates_of_one_version(self, backend: AnyBackend) -> None:
        await save(backend, {"id": 1})
        outcomes = await asyncio.gather(
            *(perform(backend, Update(1, {"n": n}, if_version=1)) for n in range(30))
        )
        winners = [outcome for outcome in outcomes if isinstance(outcome, Found)]
        assert len(winners) == 1
        assert (await get(backend, 1)).record == winners[0].record

    async def test_of_many_deleters(self, backend: AnyBackend) -> None:
        await save(backend, {"id": 1})
        outcomes = await asyncio.gather(*(perform(backend, Delete(1)) for _ in range(30)))
        assert [type(outcome) for outcome in outcomes].count(Found) == 1

    async def test_of_many_savers_one_creates(self, backend: AnyBackend) -> None:
        outcomes = await asyncio.gather(*(save(backend, {"id": 1, "n": n}) for n in range(30)))
        assert sum(outcome.created for outcome in outcomes) == 1
        assert sorted(outcome.record.version for outcome in outcomes) == list(range(1, 31))
