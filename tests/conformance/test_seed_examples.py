"""The storage seed's own example tests, written anew, on every backend class.

What the seed promises of a storage backend: save, get, delete, list and query are the same
whatever keeps the tasks, ids are sequential and never used again, everybody gets copies, and
nothing is lost when many write at once. Its wrapper of a backend, the storage agent, has its
own tests.
"""

import asyncio

import pytest

from holdfast_backends import InMemoryBackend, StorageError, TaskNotFoundError
from holdfast_backends.testing.fixtures import backend, clock
from holdfast_backends.testing.harness import AnyBackend
from holdfast_backends.values import JsonObject

__all__ = ["backend", "clock"]

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_save_generates_an_id(backend: AnyBackend) -> None:
    task = await backend.save({"title": "Test"})
    assert task["id"] == 1


async def test_ids_are_sequential(backend: AnyBackend) -> None:
    first = await backend.save({"title": "First"})
    second = await backend.save({"title": "Second"})
    assert (first["id"], second["id"]) == (1, 2)


async def test_ids_are_never_used_again(backend: AnyBackend) -> None:
    await backend.save({"title": "First"})
    await backend.delete(1)
    assert (await backend.save({"title": "Second"}))["id"] == 2


async def test_a_given_id_is_kept(backend: AnyBackend) -> None:
    assert await backend.save({"id": 7, "title": "Mine"}) == {"id": 7, "title": "Mine"}


async def test_get_finds_what_was_saved(backend: AnyBackend) -> None:
    saved = await backend.save({"title": "Test", "completed": False, "priority": "high"})
    assert await backend.get(1) == saved


async def test_get_of_a_missing_task_raises(backend: AnyBackend) -> None:
    with pytest.raises(TaskNotFoundError, match=r"^Task with ID 999 not found$") as caught:
        await backend.get(999)
    assert caught.value.task_id == 999


async def test_delete_answers_with_the_task_and_removes_it(backend: AnyBackend) -> None:
    saved = await backend.save({"title": "Test"})
    assert await backend.delete(1) == saved
    with pytest.raises(TaskNotFoundError):
        await backend.get(1)


async def test_delete_of_a_missing_task_raises(backend: AnyBackend) -> None:
    with pytest.raises(TaskNotFoundError, match=r"^Task with ID 999 not found$"):
        await backend.delete(999)


async def test_update_of_a_missing_task_raises(backend: AnyBackend) -> None:
    with pytest.raises(TaskNotFoundError, match=r"^Task with ID 999 not found$"):
        await backend.update(999, {"title": "Test"})


async def test_a_missing_task_is_a_storage_error(backend: AnyBackend) -> None:
    with pytest.raises(StorageError):
        await backend.get(999)


async def test_list_all_gives_every_task(backend: AnyBackend) -> None:
    saved = [await backend.save({"title": title}) for title in ("First", "Second", "Third")]
    assert await backend.list_all() == saved


async def test_list_all_of_nothing_is_empty(backend: AnyBackend) -> None:
    assert await backend.list_all() == []


async def test_query_filters_correctly(backend: AnyBackend) -> None:
    await backend.save({"title": "Done", "completed": True})
    await backend.save({"title": "Pending", "completed": False})
    results = await backend.query({"completed": True})
    assert results == [{"id": 1, "title": "Done", "completed": True}]


async def test_query_needs_all_criteria(backend: AnyBackend) -> None:
    await backend.save({"completed": True, "priority": "high"})
    await backend.save({"completed": True, "priority": "low"})
    await backend.save({"completed": False, "priority": "high"})
    results = await backend.query({"completed": True, "priority": "high"})
    assert [task["id"] for task in results] == [1]


async def test_concurrent_saves_do_not_race(backend: AnyBackend) -> None:
    tasks = await asyncio.gather(*(backend.save({"title": f"Task {i}"}) for i in range(100)))
    assert {str(task["id"]) for task in tasks} == {str(number) for number in range(1, 101)}
    assert len(await backend.list_all()) == 100


async def test_a_failed_operation_corrupts_nothing(backend: AnyBackend) -> None:
    saved = await backend.save({"title": "Test"})
    with pytest.raises(StorageError):
        await backend.update(1, {"title": float("nan")})
    assert await backend.list_all() == [saved]


async def test_what_is_given_out_is_a_copy(backend: AnyBackend) -> None:
    (await backend.save({"title": "Test"}))["title"] = "changed"
    (await backend.get(1))["title"] = "changed"
    (await backend.list_all())[0]["title"] = "changed"
    (await backend.query({}))[0]["title"] = "changed"
    assert await backend.get(1) == {"id": 1, "title": "Test"}


async def test_save_leaves_its_argument_alone(backend: AnyBackend) -> None:
    given: JsonObject = {"title": "Test"}
    await backend.save(given)
    assert given == {"title": "Test"}


async def test_the_in_memory_backend_works_without_entering() -> None:
    backend = InMemoryBackend()
    await backend.save({"title": "Test"})
    assert await backend.get(1) == {"id": 1, "title": "Test"}
