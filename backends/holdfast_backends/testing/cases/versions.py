"""Versions: from 1 by 1 with every write that succeeds, and what `if_version` makes of them."""

from typing import Any

import pytest

from holdfast_backends.errors import ConflictError, StorageError, TaskNotFoundError
from holdfast_backends.operations import Delete, Save, Update
from holdfast_backends.testing.harness import (
    MAX_INTEGER,
    AnyBackend,
    ManualClock,
    delete,
    failure,
    get,
    refused,
    save,
    update,
)

NO_VERSIONS: list[Any] = [-1, 1.0, True, "1", 2**63, [1]]


@pytest.mark.asyncio(loop_scope="session")
class TestVersions:
    async def test_a_new_record_has_version_1(self, backend: AnyBackend) -> None:
        assert (await save(backend, {})).record.version == 1

    async def test_a_replacement_raises_it_by_1(self, backend: AnyBackend) -> None:
        await save(backend, {"id": 1})
        assert (await save(backend, {"id": 1, "a": 1})).record.version == 2

    async def test_the_same_document_again_raises_it_too(self, backend: AnyBackend) -> None:
        await save(backend, {"id": 1, "a": 1})
        assert (await save(backend, {"id": 1, "a": 1})).record.version == 2

    async def test_an_update_raises_it_by_1(self, backend: AnyBackend) -> None:
        await save(backend, {"id": 1})
        assert (await update(backend, 1, {"a": 1})).record.version == 2

    async def test_an_update_that_changes_nothing_raises_it_too(self, backend: AnyBackend) -> None:
        await save(backend, {"id": 1})
        assert (await update(backend, 1, {})).record.version == 2

    async def test_an_update_with_three_parts_raises_it_by_1(self, backend: AnyBackend) -> None:
        await save(backend, {"id": 1})
        found = await update(backend, 1, {"a": 1}, increment={"n": 1}, append={"l": [1]})
        assert found.record.version == 2

    async def test_a_read_leaves_it(self, backend: AnyBackend) -> None:
        await save(backend, {"id": 1})
        await get(backend, 1)
        assert (await get(backend, 1)).record.version == 1

    async def test_get_tells_the_version_of_the_last_write(self, backend: AnyBackend) -> None:
        for _ in range(5):
            await save(backend, {"id": 1})
        assert (await get(backend, 1)).record.version == 5

    async def test_delete_tells_the_version_as_it_was(self, backend: AnyBackend) -> None:
        await save(backend, {"id": 1})
        await save(backend, {"id": 1})
        assert (await delete(backend, 1)).record.version == 2

    async def test_a_failed_write_leaves_it(self, backend: AnyBackend) -> None:
        await save(backend, {"id": 1})
        await failure(backend, Update(1, {"a": "text"}, increment={"a": 1}))
        assert (await get(backend, 1)).record.version == 1

    async def test_records_have_versions_of_their_own(self, backend: AnyBackend) -> None:
        await save(backend, {"id": 1})
        await save(backend, {"id": 1})
        assert (await save(backend, {"id": 2})).record.version == 1

    async def test_writes_of_one_call_raise_it_one_by_one(self, backend: AnyBackend) -> None:
        outcomes = await backend.execute([Save({"id": 1}), Save({"id": 1}), Update(1, {"a": 1})])
        assert [outcome.record.version for outcome in outcomes] == [1, 2, 3]  # type: ignore[union-attr]


@pytest.mark.asyncio(loop_scope="session")
class TestVersionsAfterADelete:
    async def test_a_record_made_again_continues(self, backend: AnyBackend) -> None:
        await save(backend, {"id": 1})
        await save(backend, {"id": 1})
        await delete(backend, 1)
        assert (await save(backend, {"id": 1})).record.version == 3

    async def test_so_does_one_with_a_string_id(self, backend: AnyBackend) -> None:
        await save(backend, {"id": "a"})
        await delete(backend, "a")
        assert (await save(backend, {"id": "a"})).record.version == 2

    async def test_twice_deleted_continues_twice(self, backend: AnyBackend) -> None:
        for _ in range(2):
            await save(backend, {"id": 1})
            await delete(backend, 1)
        assert (await save(backend, {"id": 1})).record.version == 3

    async def test_within_one_call_it_continues_as_well(self, backend: AnyBackend) -> None:
        outcomes = await backend.execute([Save({"id": 1}), Delete(1), Save({"id": 1})])
        assert [outcome.record.version for outcome in outcomes] == [1, 1, 2]  # type: ignore[union-attr]

    async def test_after_expiry_it_continues(self, backend: AnyBackend, clock: ManualClock) -> None:
        await save(backend, {"id": 1}, ttl_seconds=1)
        clock.advance(2)
        assert (await save(backend, {"id": 1})).record.version == 2

    async def test_after_a_sweep_it_continues(
        self, backend: AnyBackend, clock: ManualClock
    ) -> None:
        await save(backend, {"id": 1}, ttl_seconds=1)
        clock.advance(2)
        await backend.sweep()
        assert (await save(backend, {"id": 1})).record.version == 2

    async def test_an_old_version_never_matches(self, backend: AnyBackend) -> None:
        await save(backend, {"id": 1})
        await delete(backend, 1)
        await save(backend, {"id": 1})
        failed = await failure(backend, Save({"id": 1}, if_version=1))
        assert failed.error.details["current_version"] == 2


@pytest.mark.asyncio(loop_scope="session")
class TestSaveIfVersion:
    async def test_the_current_version_is_replaced(self, backend: AnyBackend) -> None:
        await save(backend, {"id": 1})
        assert (await save(backend, {"id": 1, "a": 1}, if_version=1)).record.version == 2

    @pytest.mark.parametrize("stale", [1, 3, 9, MAX_INTEGER])
    async def test_another_version_is_a_conflict(self, backend: AnyBackend, stale: int) -> None:
        await save(backend, {"id": 1})
        await save(backend, {"id": 1})
        failed = await failure(backend, Save({"id": 1, "a": 1}, if_version=stale))
        assert type(failed.error) is ConflictError
        assert failed.error.details["current_version"] == 2

    async def test_a_conflict_changes_nothing(self, backend: AnyBackend) -> None:
        before = await save(backend, {"id": 1, "a": "old"})
        await failure(backend, Save({"id": 1, "a": "new"}, if_version=7))
        assert (await get(backend, 1)).record == before.record

    async def test_0_creates(self, backend: AnyBackend) -> None:
        assert (await save(backend, {"id": 1}, if_version=0)).created

    async def test_0_creates_without_an_id(self, backend: AnyBackend) -> None:
        assert (await save(backend, {}, if_version=0)).record.id == 1

    async def test_0_never_replaces(self, backend: AnyBackend) -> None:
        await save(backend, {"id": 1})
        failed = await failure(backend, Save({"id": 1}, if_version=0))
        assert type(failed.error) is ConflictError
        assert failed.error.details["current_version"] == 1

    async def test_0_creates_again_after_a_delete(self, backend: AnyBackend) -> None:
        await save(backend, {"id": 1})
        await delete(backend, 1)
        assert (await save(backend, {"id": 1}, if_version=0)).record.version == 2

    async def test_0_creates_again_after_expiry(
        self, backend: AnyBackend, clock: ManualClock
    ) -> None:
        await save(backend, {"id": 1}, ttl_seconds=1)
        clock.advance(2)
        assert (await save(backend, {"id": 1}, if_version=0)).created

    async def test_a_missing_record_is_a_conflict_with_version_0(self, backend: AnyBackend) -> None:
        failed = await failure(backend, Save({"id": 1}, if_version=1))
        assert type(failed.error) is ConflictError
        assert failed.error.details["current_version"] == 0

    async def test_a_deleted_record_is_a_conflict_with_version_0(self, backend: AnyBackend) -> None:
        await save(backend, {"id": 1})
        await delete(backend, 1)
        failed = await failure(backend, Save({"id": 1}, if_version=1))
        assert type(failed.error) is ConflictError
        assert failed.error.details["current_version"] == 0

    async def test_above_0_without_an_id_it_is_refused(self, backend: AnyBackend) -> None:
        await refused(backend.save({"a": 1}, if_version=1), "if_version")

    async def test_above_0_with_a_null_id_it_is_refused(self, backend: AnyBackend) -> None:
        await refused(backend.save({"id": None}, if_version=1), "if_version")

    @pytest.mark.parametrize("value", NO_VERSIONS, ids=repr)
    async def test_what_is_no_version_is_refused(self, backend: AnyBackend, value: Any) -> None:
        await refused(backend.save({"id": 1}, if_version=value), "if_version")


@pytest.mark.asyncio(loop_scope="session")
class TestUpdateIfVersion:
    async def test_the_current_version_is_changed(self, backend: AnyBackend) -> None:
        await save(backend, {"id": 1})
        assert (await update(backend, 1, {"a": 1}, if_version=1)).record.version == 2

    async def test_another_version_is_a_conflict(self, backend: AnyBackend) -> None:
        await save(backend, {"id": 1})
        failed = await failure(backend, Update(1, {"a": 1}, if_version=2))
        assert type(failed.error) is ConflictError
        assert failed.error.details["current_version"] == 1

    async def test_a_conflict_changes_nothing(self, backend: AnyBackend) -> None:
        before = await save(backend, {"id": 1})
        await failure(backend, Update(1, {"a": 1}, if_version=2))
        assert (await get(backend, 1)).record == before.record

    async def test_a_missing_record_is_not_found(self, backend: AnyBackend) -> None:
        failed = await failure(backend, Update(1, {"a": 1}, if_version=1))
        assert type(failed.error) is TaskNotFoundError

    async def test_a_deleted_record_is_not_found(self, backend: AnyBackend) -> None:
        await save(backend, {"id": 1})
        await delete(backend, 1)
        failed = await failure(backend, Update(1, {"a": 1}, if_version=1))
        assert type(failed.error) is TaskNotFoundError

    @pytest.mark.parametrize("value", [0, *NO_VERSIONS], ids=repr)
    async def test_what_is_no_version_is_refused(self, backend: AnyBackend, value: Any) -> None:
        await refused(backend.update(1, {"a": 1}, if_version=value), "if_version")


@pytest.mark.asyncio(loop_scope="session")
class TestDeleteIfVersion:
    async def test_the_current_version_is_deleted(self, backend: AnyBackend) -> None:
        await save(backend, {"id": 1})
        assert (await delete(backend, 1, if_version=1)).record.id == 1

    async def test_another_version_is_a_conflict(self, backend: AnyBackend) -> None:
        await save(backend, {"id": 1})
        failed = await failure(backend, Delete(1, if_version=2))
        assert type(failed.error) is ConflictError
        assert failed.error.details["current_version"] == 1

    async def test_a_conflict_deletes_nothing(self, backend: AnyBackend) -> None:
        before = await save(backend, {"id": 1})
        await failure(backend, Delete(1, if_version=2))
        assert (await get(backend, 1)).record == before.record

    async def test_a_missing_record_is_not_found(self, backend: AnyBackend) -> None:
        failed = await failure(backend, Delete(1, if_version=1))
        assert type(failed.error) is TaskNotFoundError
        assert isinstance(failed.error, StorageError)

    @pytest.mark.parametrize("value", [0, *NO_VERSIONS], ids=repr)
    async def test_what_is_no_version_is_refused(self, backend: AnyBackend, value: Any) -> None:
        await refused(backend.delete(1, if_version=value), "if_version")
