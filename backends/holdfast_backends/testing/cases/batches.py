"""`execute`: one outcome for each operation, in order; one's failure never touches another."""

import pytest

from holdfast_backends.errors import ConflictError, TaskNotFoundError
from holdfast_backends.operations import (
    Collections,
    Count,
    Delete,
    Get,
    Index,
    Operation,
    Save,
    Transaction,
    Update,
)
from holdfast_backends.outcomes import (
    Batched,
    CollectionCounts,
    Counted,
    Failed,
    Found,
    IndexState,
    Page,
    Saved,
)
from holdfast_backends.testing.harness import (
    AnyBackend,
    expect,
    finding,
    get,
    ids_of,
    save,
    save_all,
)


@pytest.mark.asyncio(loop_scope="session")
class TestCapabilities:
    async def test_each_is_told(self, backend: AnyBackend) -> None:
        told = backend.capabilities
        each = (
            told.durable,
            told.crash_safe,
            told.shared,
            told.indexes,
            told.survives_failover,
        )
        assert {type(value) for value in each} == {bool}

    async def test_what_survives_a_crash_is_durable(self, backend: AnyBackend) -> None:
        assert backend.capabilities.durable or not backend.capabilities.crash_safe


@pytest.mark.asyncio(loop_scope="session")
class TestExecute:
    async def test_nothing_asked_is_nothing_answered(self, backend: AnyBackend) -> None:
        assert await backend.execute([]) == []

    async def test_each_operation_has_its_kind_of_outcome(self, backend: AnyBackend) -> None:
        operations: list[Operation] = [
            *(Save({}), Get(1), Update(1, {"a": 1}), finding(), Count(), Collections()),
            *(Index(), Transaction((Get(1),)), Delete(1), Get(1)),
        ]
        assert [type(outcome) for outcome in await backend.execute(operations)] == [
            *(Saved, Found, Found, Page, Counted, CollectionCounts),
            *(IndexState, Batched, Found, Failed),
        ]

    async def test_outcomes_stand_in_the_order_of_the_operations(self, backend: AnyBackend) -> None:
        await save_all(backend, [{"id": number} for number in range(1, 101)])
        wanted = [(number * 37) % 100 + 1 for number in range(100)]
        outcomes = await backend.execute([Get(number) for number in wanted])
        assert [expect(Found, outcome).record.id for outcome in outcomes] == wanted

    async def test_a_failure_leaves_the_others(self, backend: AnyBackend) -> None:
        outcomes = await backend.execute(
            [Save({"id": 1}), Get(99), Save({"id": 1}, if_version=0), Save({"id": 2})]
        )
        assert [type(outcome) for outcome in outcomes] == [Saved, Failed, Failed, Saved]
        assert await backend.list_all() == [{"id": 1}, {"id": 2}]

    async def test_failures_have_no_place(self, backend: AnyBackend) -> None:
        outcomes = await backend.execute([Save({}), Get(99)])
        assert expect(Failed, outcomes[1]).index is None

    async def test_every_failure_is_its_own(self, backend: AnyBackend) -> None:
        outcomes = await backend.execute([Get(7), Get(8), Delete("a"), Update(9, {"a": 1})])
        assert [str(expect(Failed, outcome).error) for outcome in outcomes] == [
            "Task with ID 7 not found",
            "Task with ID 8 not found",
            "Task with ID a not found",
            "Task with ID 9 not found",
        ]

    async def test_a_large_batch(self, backend: AnyBackend) -> None:
        outcomes = await backend.execute([Save({"n": number}) for number in range(3_000)])
        assert [expect(Saved, outcome).record.id for outcome in outcomes] == list(range(1, 3_001))
        assert await backend.count() == 3_000

    async def test_large_documents_in_one_batch(self, backend: AnyBackend) -> None:
        text = "x" * 1_000_000
        outcomes = await backend.execute([Save({"text": text}) for _ in range(8)])
        assert [type(outcome) for outcome in outcomes] == [Saved] * 8
        assert await backend.get(8) == {"id": 8, "text": text}


@pytest.mark.asyncio(loop_scope="session")
class TestTheSameRecordManyTimes:
    async def test_the_last_save_stands(self, backend: AnyBackend) -> None:
        outcomes = await save_all(backend, [{"id": 1, "n": number} for number in range(50)])
        assert [outcome.record.version for outcome in outcomes] == list(range(1, 51))
        assert await backend.get(1) == {"id": 1, "n": 49}

    async def test_only_the_first_save_creates(self, backend: AnyBackend) -> None:
        outcomes = await save_all(backend, [{"id": 1}, {"id": 1}, {"id": 1}])
        assert [outcome.created for outcome in outcomes] == [True, False, False]

    async def test_each_outcome_holds_its_own_document(self, backend: AnyBackend) -> None:
        outcomes = await save_all(backend, [{"id": 1, "n": number} for number in range(5)])
        assert [outcome.record.value["n"] for outcome in outcomes] == [0, 1, 2, 3, 4]

    async def test_increments_add_up(self, backend: AnyBackend) -> None:
        await save(backend, {"id": 1, "n": 0})
        outcomes = await backend.execute([Update(1, increment={"n": 1}) for _ in range(100)])
        assert [expect(Found, outcome).record.value["n"] for outcome in outcomes] == list(
            range(1, 101)
        )

    async def test_reads_see_the_writes_before_them(self, backend: AnyBackend) -> None:
        outcomes = await backend.execute(
            [
                *(Get(1), Save({"id": 1, "n": 1}), Get(1), Update(1, {"n": 2}), Get(1)),
                *(Delete(1), Get(1), Save({"id": 1, "n": 3}), Get(1)),
            ]
        )
        reads = [outcomes[place] for place in (0, 2, 4, 6, 8)]
        assert [
            outcome.record.value["n"] if isinstance(outcome, Found) else type(outcome)
            for outcome in reads
        ] == [Failed, 1, 2, Failed, 3]

    async def test_queries_see_the_writes_before_them(self, backend: AnyBackend) -> None:
        sorted_query = finding({"n": {"$gt": 0}}, sort=[["n", "desc"]])
        outcomes = await backend.execute(
            [
                *(sorted_query, Save({"n": 1}), Save({"n": 2}), sorted_query),
                *(Update(1, {"n": 3}), Delete(2), sorted_query, Count()),
            ]
        )
        assert [ids_of(expect(Page, outcomes[place])) for place in (0, 3, 6)] == [[], [2, 1], [1]]
        assert outcomes[7] == Counted(1)

    async def test_versions_are_checked_against_the_writes_before(
        self, backend: AnyBackend
    ) -> None:
        outcomes = await backend.execute(
            [
                Save({"id": 1}, if_version=0),
                Save({"id": 1}, if_version=0),
                Update(1, {"a": 1}, if_version=1),
                Update(1, {"a": 2}, if_version=1),
                Delete(1, if_version=2),
            ]
        )
        assert [type(outcome) for outcome in outcomes] == [Saved, Failed, Found, Failed, Found]
        assert expect(Failed, outcomes[3]).error.details["current_version"] == 2

    async def test_a_failed_write_is_not_seen(self, backend: AnyBackend) -> None:
        await save(backend, {"id": 1, "a": "text"})
        outcomes = await backend.execute([Update(1, {"b": 1}, {"a": 1}), Get(1)])
        assert expect(Found, outcomes[1]).record.value == {"id": 1, "a": "text"}

    async def test_the_same_failure_many_times(self, backend: AnyBackend) -> None:
        outcomes = await backend.execute([Get(1)] * 5)
        assert {type(expect(Failed, outcome).error) for outcome in outcomes} == {TaskNotFoundError}

    async def test_one_of_many_creators_wins(self, backend: AnyBackend) -> None:
        outcomes = await backend.execute(
            [Save({"id": "x", "n": number}, if_version=0) for number in range(20)]
        )
        assert [type(outcome) for outcome in outcomes] == [Saved] + [Failed] * 19
        assert {type(expect(Failed, outcome).error) for outcome in outcomes[1:]} == {ConflictError}
        assert (await get(backend, "x")).record.value["n"] == 0

    async def test_the_same_id_in_other_collections_is_another_record(
        self, backend: AnyBackend
    ) -> None:
        outcomes = await backend.execute([Save({"id": 1}, name) for name in ("a", "b", "c")])
        assert [expect(Saved, outcome).record.version for outcome in outcomes] == [1, 1, 1]
