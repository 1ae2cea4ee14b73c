"""Where an outcome stands in the history of its collection."""

import pytest

from holdfast_backends.operations import Count, Delete, Get, Save, Transaction
from holdfast_backends.outcomes import Batched
from holdfast_backends.testing.harness import (
    AnyBackend,
    delete,
    expect,
    failure,
    find,
    finding,
    identify,
    perform,
    save,
    save_all,
    update,
)

ME = identify()


@pytest.mark.asyncio(loop_scope="session")
class TestTheSequenceOfAnOutcome:
    async def test_a_writes_is_that_of_its_event(self, backend: AnyBackend) -> None:
        made = await save(backend, {})
        changed = await update(backend, 1, {"a": 1})
        removed = await delete(backend, 1)
        assert [made.sequence, changed.sequence, removed.sequence] == [1, 2, 3]

    async def test_a_reads_is_the_collections_last(self, backend: AnyBackend) -> None:
        await save_all(backend, [{}, {}, {}])
        for _ in range(2):  # the second time, the backend may know the collection
            page = await find(backend, finding(limit=1))
            assert page.sequence == 3
        outcomes = await backend.execute([Get(1), Count(), finding({"a": 1})])
        assert [getattr(outcome, "sequence", None) for outcome in outcomes] == [3, 3, 3]

    async def test_reads_in_a_call_see_the_writes_before_them(self, backend: AnyBackend) -> None:
        outcomes = await backend.execute([Count(), Save({}), Count(), Save({}), Get(1)])
        assert [getattr(outcome, "sequence", None) for outcome in outcomes] == [0, 1, 1, 2, 2]

    async def test_a_failures_is_the_collections_last(self, backend: AnyBackend) -> None:
        await save_all(backend, [{}, {}])
        assert (await failure(backend, Get(9))).sequence == 2
        assert (await failure(backend, Delete(9))).sequence == 2

    async def test_a_replays_is_the_first_ones(self, backend: AnyBackend) -> None:
        await save(backend, {"a": 1}, identity=ME)
        await save_all(backend, [{}, {}])
        again = await save(backend, {"a": 1}, identity=ME)
        assert (again.sequence, again.replayed) == (1, True)

    async def test_in_a_transaction_each_has_its_own(self, backend: AnyBackend) -> None:
        outcome = await perform(backend, Transaction((Save({}), Save({}), Get(1), Count("users"))))
        inner = expect(Batched, outcome).outcomes
        assert [getattr(one, "sequence", None) for one in inner] == [1, 2, 2, 0]
