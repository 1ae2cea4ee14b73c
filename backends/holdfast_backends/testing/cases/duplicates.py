"""Duplicates at the same time, and transactions as one message."""

import asyncio

import pytest

from holdfast_backends.errors import (
    ConflictError,
)
from holdfast_backends.operations import (
    Count,
    Delete,
    Get,
    Operation,
    Save,
    Transaction,
    Update,
)
from holdfast_backends.outcomes import Batched, Counted, Failed, Found, Saved
from holdfast_backends.testing.cases.identity import ME, OTHER_PAYLOAD, is_replayed, twice
from holdfast_backends.testing.harness import (
    AnyBackend,
    expect,
    failure,
    get,
    identify,
    perform,
    save,
    save_all,
)


@pytest.mark.asyncio(loop_scope="session")
class TestDuplicatesAtOnce:
    async def test_within_one_call_one_takes_effect(self, backend: AnyBackend) -> None:
        outcomes = await backend.execute([Save({}, identity=ME)] * 5)
        assert [is_replayed(outcome) for outcome in outcomes] == [False] + [True] * 4
        assert {expect(Saved, outcome).record.id for outcome in outcomes} == {1}
        assert await backend.count() == 1

    async def test_within_one_call_another_payload_is_a_conflict(self, backend: AnyBackend) -> None:
        outcomes = await backend.execute(
            [Save({"a": 1}, identity=ME), Save({"a": 2}, identity=OTHER_PAYLOAD)]
        )
        assert type(expect(Failed, outcomes[1]).error) is ConflictError
        assert await backend.list_all() == [{"id": 1, "a": 1}]

    async def test_within_one_call_a_failure_is_answered_alike(self, backend: AnyBackend) -> None:
        outcomes = await backend.execute(
            [Delete(1, identity=ME), Save({"id": 1}), Delete(1, identity=ME)]
        )
        assert [type(outcome) for outcome in outcomes] == [Failed, Saved, Failed]
        assert await backend.count() == 1

    async def test_at_the_same_time_one_takes_effect(self, backend: AnyBackend) -> None:
        outcomes = await asyncio.gather(
            *(perform(backend, Save({"a": 1}, identity=ME)) for _ in range(20))
        )
        assert sorted(map(is_replayed, outcomes)) == [False] + [True] * 19
        assert {expect(Saved, outcome).record.id for outcome in outcomes} == {1}
        assert await backend.list_all() == [{"id": 1, "a": 1}]

    async def test_at_the_same_time_in_different_collections(self, backend: AnyBackend) -> None:
        outcomes = await asyncio.gather(
            *(
                perform(backend, Save({}, f"c{n}", identity=identify(digest=f"{n}")))
                for n in range(10)
            )
        )
        assert [type(outcome) for outcome in outcomes].count(Saved) == 1
        assert {type(outcome.error) for outcome in outcomes if isinstance(outcome, Failed)} == {
            ConflictError
        }

    async def test_increments_at_the_same_time_take_effect_once(self, backend: AnyBackend) -> None:
        await save(backend, {"id": 1, "n": 0})
        await asyncio.gather(
            *(
                perform(backend, Update(1, increment={"n": 1}, identity=identify(f"m{n % 10}")))
                for n in range(50)
            )
        )
        assert await backend.get(1) == {"id": 1, "n": 10}

    async def test_whole_batches_at_the_same_time(self, backend: AnyBackend) -> None:
        batch: list[Operation] = [Save({"n": n}, identity=identify(f"m{n}")) for n in range(30)]
        answers = await asyncio.gather(*(backend.execute(batch) for _ in range(4)))
        assert await backend.count() == 30
        assert sum(not is_replayed(outcome) for outcomes in answers for outcome in outcomes) == 30


@pytest.mark.asyncio(loop_scope="session")
class TestACallThatWasCancelled:
    """Whether it took effect is unknown; sent again under its identity, it did so once."""

    @pytest.mark.parametrize("turns", [0, 1, 2, 3, 5, 8, 13, 21, 34, 55])
    async def test_it_can_be_sent_again(self, backend: AnyBackend, turns: int) -> None:
        await save(backend, {"id": 1, "n": 0})
        batch: list[Operation] = [
            Update(1, increment={"n": 1}, identity=identify("increment")),
            Save({}, identity=identify("save")),
        ]
        call = asyncio.create_task(backend.execute(batch))
        for _ in range(turns):
            await asyncio.sleep(0)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        await backend.execute(batch)
        assert await backend.list_all() == [{"id": 1, "n": 1}, {"id": 2}]

    async def test_it_leaves_the_store_usable(self, backend: AnyBackend) -> None:
        for turns in range(40):
            call = asyncio.create_task(backend.execute([Save({"id": 1}), Get(1), Count()]))
            for _ in range(turns):
                await asyncio.sleep(0)
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
        await backend.save({"id": 1, "last": True})
        assert await backend.list_all() == [{"id": 1, "last": True}]


@pytest.mark.asyncio(loop_scope="session")
class TestTransactionsWithAnIdentity:
    WRITES = (Save({"a": 1}), Get(1), Update(1, increment={"n": 1}), Save({}), Delete(2))

    @pytest.mark.parametrize("atomic", [True, False])
    async def test_it_takes_effect_once(self, backend: AnyBackend, atomic: bool) -> None:
        await twice(backend, Batched, Transaction(self.WRITES, atomic, identity=ME))
        assert await backend.list_all() == [{"id": 1, "a": 1, "n": 1}]
        assert (await get(backend, 1)).record.version == 2

    @pytest.mark.parametrize("atomic", [True, False])
    async def test_it_is_answered_alike(self, backend: AnyBackend, atomic: bool) -> None:
        first, second = await twice(backend, Batched, Transaction(self.WRITES, atomic, identity=ME))
        assert second.outcomes == first.outcomes
        assert (first.replayed, second.replayed) == (False, True)

    async def test_reads_in_it_are_answered_as_they_were(self, backend: AnyBackend) -> None:
        transaction = Transaction((Save({"id": 1, "a": 1}), Get(1), Count()), identity=ME)
        await perform(backend, transaction)
        await save_all(backend, [{"id": 1, "a": 2}, {}])
        replayed = expect(Batched, await perform(backend, transaction))
        assert expect(Found, replayed.outcomes[1]).record.value == {"id": 1, "a": 1}
        assert replayed.outcomes[2] == Counted(1)

    async def test_inner_failures_are_answered_alike(self, backend: AnyBackend) -> None:
        operations = (Get(7, "users"), Save({"id": 1}, if_version=4), Save({"b": -0.0}))
        first, second = await twice(
            backend, Batched, Transaction(operations, atomic=False, identity=ME)
        )
        ours = [*first.outcomes]
        again = [*second.outcomes]
        assert again[2] == ours[2]
        for one, other in zip(ours[:2], again[:2], strict=True):
            assert type(expect(Failed, one).error) is type(expect(Failed, other).error)
            assert str(expect(Failed, one).error) == str(expect(Failed, other).error)
            assert expect(Failed, one).error.details == expect(Failed, other).error.details

    async def test_a_failed_one_leaves_only_its_answer(self, backend: AnyBackend) -> None:
        transaction = Transaction((Save({"id": 40}), Get(99)), identity=ME)
        await twice(backend, Failed, transaction)
        assert await backend.list_all() == []
        assert (await backend.save({}))["id"] == 1

    async def test_a_failed_ones_answer_stays(self, backend: AnyBackend) -> None:
        transaction = Transaction((Save({"a": 1}), Get(2)), identity=ME)
        first = await failure(backend, transaction)
        await save_all(backend, [{}, {}])
        second = await failure(backend, transaction)
        assert (str(second.error), second.index) == (str(first.error), 1)
        assert await backend.count() == 2


@pytest.mark.asyncio(loop_scope="session")
class TestReadsHaveNoIdentity:
    async def test_a_transaction_of_reads_is_executed_again(self, backend: AnyBackend) -> None:
        transaction = Transaction((Count(),), identity=ME)
        await perform(backend, transaction)
        await save(backend, {})
        again = expect(Batched, await perform(backend, transaction))
        assert (again.outcomes, again.replayed) == ((Counted(1),), False)

    async def test_it_leaves_its_id_to_a_write(self, backend: AnyBackend) -> None:
        await perform(backend, Transaction((Count(),), identity=ME))
        assert not (await save(backend, {}, identity=OTHER_PAYLOAD)).replayed

    async def test_it_may_use_the_id_of_a_write(self, backend: AnyBackend) -> None:
        await save(backend, {}, identity=ME)
        outcome = await perform(backend, Transaction((Count(),), identity=OTHER_PAYLOAD))
        assert expect(Batched, outcome).outcomes == (Counted(1),)
