"""Save, get and delete: what is kept, what is told about it, and what is gone."""

import pytest

from holdfast_backends.errors import TaskNotFoundError
from holdfast_backends.operations import Delete, Get, Save, Update
from holdfast_backends.outcomes import Saved
from holdfast_backends.testing.harness import (
    MICROSECONDS,
    AnyBackend,
    ManualClock,
    delete,
    expect,
    failure,
    get,
    perform,
    raised,
    refused,
    save,
    update,
)
from holdfast_backends.values import RecordId

NO_COLLECTIONS = ["", "Tasks", "1tasks", "_tasks", "-tasks", "a b", "a.b", "é", "a" * 64, "a\n"]


@pytest.mark.asyncio(loop_scope="session")
class TestSave:
    async def test_it_answers_with_the_document_and_its_id(self, backend: AnyBackend) -> None:
        assert await backend.save({"title": "a"}) == {"id": 1, "title": "a"}

    async def test_an_empty_document_can_be_saved(self, backend: AnyBackend) -> None:
        assert await backend.save({}) == {"id": 1}

    async def test_what_was_saved_can_be_read(self, backend: AnyBackend) -> None:
        await backend.save({"title": "a", "tags": ["x"], "owner": {"name": "b"}})
        found = await backend.get(1)
        assert found == {"id": 1, "title": "a", "tags": ["x"], "owner": {"name": "b"}}

    async def test_an_existing_id_is_replaced_whole(self, backend: AnyBackend) -> None:
        await backend.save({"id": 1, "old": True})
        await backend.save({"id": 1, "new": True})
        assert await backend.get(1) == {"id": 1, "new": True}

    async def test_a_new_record_is_created(self, backend: AnyBackend) -> None:
        assert (await save(backend, {"id": 1})).created

    async def test_a_replaced_record_is_not_created(self, backend: AnyBackend) -> None:
        await save(backend, {"id": 1})
        assert not (await save(backend, {"id": 1})).created

    async def test_a_record_made_again_after_a_delete_is_created(self, backend: AnyBackend) -> None:
        await save(backend, {"id": 1})
        await delete(backend, 1)
        assert (await save(backend, {"id": 1})).created

    async def test_a_first_execution_is_not_replayed(self, backend: AnyBackend) -> None:
        assert not (await save(backend, {})).replayed

    async def test_the_outcome_holds_what_get_finds(self, backend: AnyBackend) -> None:
        saved = await save(backend, {"title": "a"})
        assert (await get(backend, 1)).record == saved.record

    async def test_collections_are_apart(self, backend: AnyBackend) -> None:
        await backend.save({"id": 1, "in": "tasks"})
        await backend.save({"id": 1, "in": "users"}, collection="users")
        assert (await backend.get(1))["in"] == "tasks"
        assert (await backend.get(1, collection="users"))["in"] == "users"

    async def test_the_default_collection_is_tasks(self, backend: AnyBackend) -> None:
        await backend.save({"id": 1})
        assert await backend.get(1, collection="tasks") == {"id": 1}

    @pytest.mark.parametrize("name", ["a", "a0", "a-b_c", "tasks2", "a" * 63])
    async def test_a_lawful_collection_keeps_records(self, backend: AnyBackend, name: str) -> None:
        await backend.save({"id": 1}, collection=name)
        assert await backend.get(1, collection=name) == {"id": 1}

    @pytest.mark.parametrize("name", NO_COLLECTIONS, ids=ascii)
    async def test_an_unlawful_collection_is_refused(self, backend: AnyBackend, name: str) -> None:
        await refused(backend.save({}, collection=name), "collection")

    @pytest.mark.parametrize("name", NO_COLLECTIONS, ids=ascii)
    async def test_so_it_is_by_every_other_method(self, backend: AnyBackend, name: str) -> None:
        await refused(backend.get(1, collection=name), "collection")
        await refused(backend.update(1, {"a": 1}, collection=name), "collection")
        await refused(backend.delete(1, collection=name), "collection")
        await refused(backend.list_all(collection=name), "collection")
        await refused(backend.query({}, collection=name), "collection")
        await refused(backend.count({}, collection=name), "collection")


@pytest.mark.asyncio(loop_scope="session")
class TestInstants:
    async def test_a_new_record_is_created_and_updated_now(
        self, backend: AnyBackend, clock: ManualClock
    ) -> None:
        record = (await save(backend, {})).record
        assert (record.created_at, record.updated_at) == (clock.now, clock.now)

    async def test_created_at_survives_a_replacement(
        self, backend: AnyBackend, clock: ManualClock
    ) -> None:
        created = clock.now
        await save(backend, {"id": 1})
        clock.advance(5)
        record = (await save(backend, {"id": 1})).record
        assert (record.created_at, record.updated_at) == (created, created + 5 * MICROSECONDS)

    async def test_created_at_survives_an_update(
        self, backend: AnyBackend, clock: ManualClock
    ) -> None:
        created = clock.now
        await save(backend, {"id": 1})
        clock.advance(5)
        record = (await update(backend, 1, {"a": 1})).record
        assert (record.created_at, record.updated_at) == (created, created + 5 * MICROSECONDS)

    async def test_an_update_that_changes_nothing_is_a_write(
        self, backend: AnyBackend, clock: ManualClock
    ) -> None:
        await save(backend, {"id": 1})
        clock.advance(5)
        assert (await update(backend, 1, {})).record.updated_at == clock.now

    async def test_get_tells_them_as_they_are(
        self, backend: AnyBackend, clock: ManualClock
    ) -> None:
        saved = await save(backend, {"id": 1})
        clock.advance(5)
        found = (await get(backend, 1)).record
        assert (found.created_at, found.updated_at) == (saved.record.created_at,) * 2

    async def test_delete_tells_them_as_they_were(
        self, backend: AnyBackend, clock: ManualClock
    ) -> None:
        saved = await save(backend, {"id": 1})
        clock.advance(5)
        assert (await delete(backend, 1)).record == saved.record

    async def test_a_record_made_again_is_new(
        self, backend: AnyBackend, clock: ManualClock
    ) -> None:
        await save(backend, {"id": 1})
        await delete(backend, 1)
        clock.advance(5)
        assert (await save(backend, {"id": 1})).record.created_at == clock.now

    async def test_microseconds_are_kept(self, backend: AnyBackend, clock: ManualClock) -> None:
        clock.now = 1_700_000_000_123_457
        await save(backend, {"id": 1})
        assert (await get(backend, 1)).record.created_at == 1_700_000_000_123_457


@pytest.mark.asyncio(loop_scope="session")
class TestNotFound:
    async def test_get_of_a_missing_record(self, backend: AnyBackend) -> None:
        error = await raised(TaskNotFoundError, backend.get(7))
        assert str(error) == "Task with ID 7 not found"

    async def test_update_of_a_missing_record(self, backend: AnyBackend) -> None:
        error = await raised(TaskNotFoundError, backend.update(7, {"a": 1}))
        assert str(error) == "Task with ID 7 not found"

    async def test_delete_of_a_missing_record(self, backend: AnyBackend) -> None:
        error = await raised(TaskNotFoundError, backend.delete(7))
        assert str(error) == "Task with ID 7 not found"

    async def test_other_collections_have_records(self, backend: AnyBackend) -> None:
        error = await raised(TaskNotFoundError, backend.get(7, collection="users"))
        assert str(error) == "users record 7 not found"

    async def test_a_string_id_stands_as_it_is(self, backend: AnyBackend) -> None:
        error = await raised(TaskNotFoundError, backend.get("abc"))
        assert str(error) == "Task with ID abc not found"

    async def test_it_is_the_operations_outcome(self, backend: AnyBackend) -> None:
        assert type((await failure(backend, Get(7))).error) is TaskNotFoundError

    async def test_a_missed_update_makes_no_record(self, backend: AnyBackend) -> None:
        await failure(backend, Update(7, {"a": 1}))
        assert await backend.list_all() == []

    async def test_a_missed_write_uses_up_no_id(self, backend: AnyBackend) -> None:
        await failure(backend, Update(7, {"a": 1}))
        await failure(backend, Delete(7))
        assert (await save(backend, {"id": 7})).record.version == 1


@pytest.mark.asyncio(loop_scope="session")
class TestDelete:
    async def test_it_answers_with_the_deleted_document(self, backend: AnyBackend) -> None:
        await backend.save({"title": "a"})
        assert await backend.delete(1) == {"id": 1, "title": "a"}

    @pytest.mark.parametrize("record_id", [1, "a"])
    async def test_then_the_record_is_gone(self, backend: AnyBackend, record_id: RecordId) -> None:
        await backend.save({"id": record_id})
        await backend.delete(record_id)
        await raised(TaskNotFoundError, backend.get(record_id))

    async def test_a_second_delete_finds_nothing(self, backend: AnyBackend) -> None:
        await backend.save({"id": 1})
        await backend.delete(1)
        await raised(TaskNotFoundError, backend.delete(1))

    async def test_an_update_after_it_finds_nothing(self, backend: AnyBackend) -> None:
        await backend.save({"id": 1})
        await backend.delete(1)
        await raised(TaskNotFoundError, backend.update(1, {"a": 1}))

    async def test_the_record_leaves_every_list(self, backend: AnyBackend) -> None:
        await backend.save({"id": 1})
        await backend.save({"id": 2})
        await backend.delete(1)
        assert await backend.list_all() == [{"id": 2}]
        assert await backend.query({"id": 1}) == []
        assert await backend.count() == 1

    async def test_other_records_stay(self, backend: AnyBackend) -> None:
        await backend.save({"id": 1})
        await backend.save({"id": "1"})
        await backend.save({"id": 1}, collection="users")
        await backend.delete(1)
        assert await backend.get("1") == {"id": "1"}
        assert await backend.get(1, collection="users") == {"id": 1}

    async def test_an_explicit_save_makes_the_record_again(self, backend: AnyBackend) -> None:
        await backend.save({"id": 1, "old": True})
        await backend.delete(1)
        saved = expect(Saved, await perform(backend, Save({"id": 1, "new": True})))
        assert saved.record.value == {"id": 1, "new": True}
        assert await backend.get(1) == {"id": 1, "new": True}
