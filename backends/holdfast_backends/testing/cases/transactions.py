"""Transactions: all or nothing, or each for itself; and every read sees what came before it."""

import pytest

from holdfast_backends.errors import (
    ConflictError,
    InvalidValueError,
    StorageError,
    TaskNotFoundError,
    TooLargeError,
)
from holdfast_backends.operations import (
    Collections,
    Count,
    Delete,
    Get,
    Save,
    Transaction,
    Update,
)
from holdfast_backends.outcomes import (
    CollectionCounts,
    Counted,
    Failed,
    Found,
    Page,
    Saved,
)
from holdfast_backends.testing.harness import (
    MAX_INTEGER,
    AnyBackend,
    ManualClock,
    expect,
    failure,
    finding,
    get,
    ids_of,
    perform,
    save,
    save_all,
    transact,
)


async def undone(backend: AnyBackend, *operations: Save | Get | Update | Delete) -> Failed:
    """The failure of an atomic transaction."""
    return await failure(backend, Transaction(operations))


@pytest.mark.asyncio(loop_scope="session")
class TestAtomicTransactions:
    async def test_all_outcomes_in_order(self, backend: AnyBackend) -> None:
        saved, found, counted, deleted = await transact(
            backend, Save({"a": 1}), Get(1), Count(), Delete(1)
        )
        assert expect(Saved, saved).record.value == {"id": 1, "a": 1}
        assert expect(Found, found).record.value == {"id": 1, "a": 1}
        assert expect(Counted, counted).count == 1
        assert expect(Found, deleted).record.value == {"id": 1, "a": 1}

    async def test_everything_is_kept(self, backend: AnyBackend) -> None:
        await transact(backend, Save({}), Save({"id": "a"}), Save({}, "users"))
        assert await backend.list_all() == [{"id": 1}, {"id": "a"}]
        assert await backend.list_all(collection="users") == [{"id": 1}]

    async def test_the_first_failure_is_the_outcome(self, backend: AnyBackend) -> None:
        failed = await undone(backend, Save({}), Get(77), Get(88))
        assert type(failed.error) is TaskNotFoundError
        assert (str(failed.error), failed.index) == ("Task with ID 77 not found", 1)

    @pytest.mark.parametrize("place", [0, 1, 4])
    async def test_its_place_is_told(self, backend: AnyBackend, place: int) -> None:
        operations: list[Save | Get] = [Save({}) for _ in range(5)]
        operations[place] = Get(99)
        assert (await undone(backend, *operations)).index == place

    async def test_a_failure_undoes_saves(self, backend: AnyBackend) -> None:
        await undone(backend, Save({}), Save({"id": "a"}), Get(99))
        assert await backend.list_all() == []

    async def test_a_failure_undoes_replacements(self, backend: AnyBackend) -> None:
        before = await save(backend, {"id": 1, "a": "old"})
        await undone(backend, Save({"id": 1, "a": "new"}), Get(99))
        assert (await get(backend, 1)).record == before.record

    async def test_a_failure_undoes_updates(self, backend: AnyBackend) -> None:
        before = await save(backend, {"id": 1, "n": 1})
        await undone(backend, Update(1, increment={"n": 1}), Update(1, {"b": 2}), Get(99))
        assert (await get(backend, 1)).record == before.record

    async def test_a_failure_undoes_deletes(self, backend: AnyBackend) -> None:
        before = await save(backend, {"id": 1})
        await undone(backend, Delete(1), Get(1))
        assert (await get(backend, 1)).record == before.record

    async def test_a_failure_undoes_a_ttl(self, backend: AnyBackend, clock: ManualClock) -> None:
        await save(backend, {"id": 1})
        await undone(backend, Save({"id": 1}, ttl_seconds=1), Get(99))
        clock.advance(2)
        assert await backend.get(1) == {"id": 1}

    async def test_a_failure_undoes_other_collections_too(self, backend: AnyBackend) -> None:
        await undone(backend, Save({}, "users"), Save({}, "projects"), Get(99))
        listed = expect(CollectionCounts, await perform(backend, Collections()))
        assert listed.counts == ()

    async def test_a_failure_gives_ids_back(self, backend: AnyBackend) -> None:
        await undone(backend, Save({}), Save({}), Get(99))
        assert (await backend.save({}))["id"] == 1

    async def test_a_failure_takes_a_jump_back(self, backend: AnyBackend) -> None:
        await undone(backend, Save({"id": 1_000}), Get(99))
        assert (await backend.save({}))["id"] == 1

    async def test_a_failure_gives_versions_back(self, backend: AnyBackend) -> None:
        await undone(backend, Save({"id": 1}), Save({"id": 1}), Get(99))
        assert (await save(backend, {"id": 1})).record.version == 1

    async def test_a_record_deleted_and_made_again_is_undone(self, backend: AnyBackend) -> None:
        before = await save(backend, {"id": 1, "a": 1})
        await undone(backend, Delete(1), Save({"id": 1, "a": 2}), Delete(1), Get(1))
        assert (await get(backend, 1)).record == before.record
        assert (await save(backend, {"id": 1})).record.version == 2

    @pytest.mark.parametrize(
        ("operation", "kind"),
        [
            (Get(99), TaskNotFoundError),
            (Update(99, {"a": 1}), TaskNotFoundError),
            (Delete(99), TaskNotFoundError),
            (Save({"id": 1}, if_version=0), ConflictError),
            (Save({"id": 1}, if_version=9), ConflictError),
            (Update(1, {"a": 1}, if_version=9), ConflictError),
            (Delete(1, if_version=9), ConflictError),
            (Update(1, increment={"text": 1}), InvalidValueError),
            (Update(1, append={"text": [1]}), InvalidValueError),
            (Update(1, {"more": "x" * 600_000}), TooLargeError),
            (Save({}, "full"), StorageError),
        ],
        ids=[
            *("get", "update", "delete", "create only", "save version", "update version"),
            *("delete version", "increment", "append", "too large", "ids used up"),
        ],
    )
    async def test_every_kind_of_failure_undoes_it(
        self, backend: AnyBackend, operation: Save | Get | Update | Delete, kind: type[StorageError]
    ) -> None:
        await save(backend, {"id": 1, "text": "x" * 600_000})
        await save(backend, {"id": MAX_INTEGER}, collection="full")
        failed = await undone(backend, Save({}), operation, Save({}))
        assert (type(failed.error), failed.index) == (kind, 1)
        assert await backend.count() == 1

    async def test_a_conflict_keeps_its_details(self, backend: AnyBackend) -> None:
        await save_all(backend, [{"id": 1}, {"id": 1}, {"id": 1}])
        failed = await undone(backend, Update(1, {"a": 1}, if_version=1))
        assert failed.error.details["current_version"] == 3

    async def test_afterwards_the_store_goes_on(self, backend: AnyBackend) -> None:
        await undone(backend, Save({}), Get(99))
        await transact(backend, Save({}), Get(1))
        assert await backend.list_all() == [{"id": 1}]

    async def test_1000_operations_are_lawful(self, backend: AnyBackend) -> None:
        outcomes = await transact(backend, *(Save({"n": n}) for n in range(1_000)))
        assert len(outcomes) == 1_000
        assert await backend.count() == 1_000

    async def test_1001_operations_are_too_many(self) -> None:
        with pytest.raises(TooLargeError):
            Transaction(tuple(Save({}) for _ in range(1_001)))

    async def test_no_operations_are_refused(self) -> None:
        with pytest.raises(InvalidValueError):
            Transaction(())


@pytest.mark.asyncio(loop_scope="session")
class TestTransactionsThatAreNotAtomic:
    async def test_each_operation_has_its_own_outcome(self, backend: AnyBackend) -> None:
        outcomes = await transact(
            backend, Save({}), Get(99), Save({"id": 1}, if_version=0), Save({}), atomic=False
        )
        assert [type(outcome) for outcome in outcomes] == [Saved, Failed, Failed, Saved]

    async def test_a_failure_leaves_the_others(self, backend: AnyBackend) -> None:
        await transact(backend, Save({}), Get(99), Save({}), atomic=False)
        assert await backend.list_all() == [{"id": 1}, {"id": 2}]

    async def test_a_failure_moves_no_counter(self, backend: AnyBackend) -> None:
        await transact(backend, Save({"id": 50}, if_version=3), Save({}), atomic=False)
        assert await backend.list_all() == [{"id": 1}]

    async def test_its_errors_are_whole(self, backend: AnyBackend) -> None:
        await save_all(backend, [{"id": 1}, {"id": 1}])
        missing, stale = await transact(
            backend, Get(99), Update(1, {"a": 1}, if_version=1), atomic=False
        )
        assert str(expect(Failed, missing).error) == "Task with ID 99 not found"
        assert expect(Failed, stale).error.details["current_version"] == 2

    async def test_an_inner_failure_has_no_place_of_its_own(self, backend: AnyBackend) -> None:
        (failed,) = await transact(backend, Get(99), atomic=False)
        assert expect(Failed, failed).index is None

    async def test_reads_see_earlier_writes(self, backend: AnyBackend) -> None:
        outcomes = await transact(backend, Save({}), Get(1), Get(99), finding(), atomic=False)
        assert expect(Found, outcomes[1]).record.value == {"id": 1}
        assert ids_of(expect(Page, outcomes[3])) == [1]

    async def test_when_all_fail_it_is_still_a_list(self, backend: AnyBackend) -> None:
        outcomes = await transact(backend, Get(1), Get(2), atomic=False)
        assert [type(outcome) for outcome in outcomes] == [Failed, Failed]
