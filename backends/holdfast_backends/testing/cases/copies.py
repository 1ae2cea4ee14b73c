"""Copies: what was given is never changed, and what is given out is never shared."""

from copy import deepcopy

import pytest

from holdfast_backends.operations import Save, Update
from holdfast_backends.outcomes import Saved
from holdfast_backends.testing.harness import AnyBackend, expect, get, identify, perform, save
from holdfast_backends.values import JsonObject, JsonValue


def spoil(document: JsonObject) -> None:
    """Change a document everywhere."""
    document["id"] = 666
    inner = document["inner"]
    assert isinstance(inner, dict)
    inner["list"] = "spoiled"
    document["new"] = True


def fresh() -> JsonObject:
    """The same document each time."""
    return {"id": 1, "inner": {"list": [1, {"a": 2}]}}


@pytest.mark.asyncio(loop_scope="session")
class TestArgumentsAreLeftAlone:
    async def test_save_adds_no_id(self, backend: AnyBackend) -> None:
        document: JsonObject = {"title": "a"}
        await backend.save(document)
        assert document == {"title": "a"}

    async def test_save_leaves_a_null_id(self, backend: AnyBackend) -> None:
        document: JsonObject = {"id": None}
        await backend.save(document)
        assert document == {"id": None}

    async def test_the_same_argument_can_be_saved_again(self, backend: AnyBackend) -> None:
        document: JsonObject = {"title": "a"}
        assert [(await backend.save(document))["id"] for _ in range(3)] == [1, 2, 3]

    async def test_update_leaves_its_arguments(self, backend: AnyBackend) -> None:
        await backend.save(fresh())
        changes: JsonObject = {"inner": {"list": [1], "b": None}}
        increment: dict[str, int | float] = {"n.m": 1}
        append: dict[str, list[JsonValue]] = {"l": [[1], {"a": 1}]}
        before = deepcopy((changes, increment, append))
        await backend.update(1, changes, increment=increment, append=append)
        assert (changes, increment, append) == before

    async def test_an_increment_leaves_the_changes_it_goes_into(self, backend: AnyBackend) -> None:
        await backend.save({"id": 1})
        changes: JsonObject = {"a": {"n": 1, "l": [1]}}
        await backend.update(1, changes, increment={"a.n": 1}, append={"a.l": [2]})
        assert changes == {"a": {"n": 1, "l": [1]}}
        assert await backend.get(1) == {"id": 1, "a": {"n": 2, "l": [1, 2]}}

    async def test_query_leaves_its_arguments(self, backend: AnyBackend) -> None:
        await backend.save(fresh())
        filters: JsonObject = {"inner": {"$ne": {"list": [1]}}, "$or": [{"a": None}]}
        sort, fields = [["a", "asc"]], ["inner.list"]
        before = deepcopy((filters, sort, fields))
        await backend.query(filters, sort=sort, fields=fields)
        assert (filters, sort, fields) == before


@pytest.mark.asyncio(loop_scope="session")
class TestWhatIsKeptIsNotShared:
    async def test_with_the_argument_of_save(self, backend: AnyBackend) -> None:
        document = fresh()
        await backend.save(document)
        spoil(document)
        assert await backend.get(1) == fresh()

    async def test_with_the_argument_of_update(self, backend: AnyBackend) -> None:
        await backend.save({"id": 1})
        changes = fresh()
        await backend.update(1, changes)
        spoil(changes)
        assert await backend.get(1) == fresh()

    async def test_with_the_argument_of_append(self, backend: AnyBackend) -> None:
        await backend.save({"id": 1})
        value: JsonObject = {"a": 1}
        await backend.update(1, append={"l": [value]})
        value["a"] = 2
        assert await backend.get(1) == {"id": 1, "l": [{"a": 1}]}

    async def test_with_the_answer_of_save(self, backend: AnyBackend) -> None:
        spoil(await backend.save(fresh()))
        assert await backend.get(1) == fresh()

    async def test_with_the_answer_of_get(self, backend: AnyBackend) -> None:
        await backend.save(fresh())
        spoil(await backend.get(1))
        assert await backend.get(1) == fresh()

    async def test_with_the_answer_of_update(self, backend: AnyBackend) -> None:
        await backend.save({"id": 1})
        spoil(await backend.update(1, fresh()))
        assert await backend.get(1) == fresh()

    async def test_with_the_answer_of_list(self, backend: AnyBackend) -> None:
        await backend.save(fresh())
        spoil((await backend.list_all())[0])
        assert await backend.list_all() == [fresh()]

    async def test_with_the_answer_of_query(self, backend: AnyBackend) -> None:
        await backend.save(fresh())
        spoil((await backend.query({}))[0])
        assert await backend.query({}) == [fresh()]

    async def test_with_the_value_of_an_outcome(self, backend: AnyBackend) -> None:
        saved = await save(backend, fresh())
        spoil(saved.record.value)
        assert saved.record.value == fresh()
        assert (await get(backend, 1)).record.value == fresh()

    async def test_with_a_replayed_answer(self, backend: AnyBackend) -> None:
        operation = Save(fresh(), identity=identify())
        await perform(backend, operation)
        spoil(expect(Saved, await perform(backend, operation)).record.value)
        assert expect(Saved, await perform(backend, operation)).record.value == fresh()

    async def test_between_two_records(self, backend: AnyBackend) -> None:
        shared: JsonObject = {"list": [1]}
        await backend.execute([Save({"id": 1, "inner": shared}), Save({"id": 2, "inner": shared})])
        await backend.execute([Update(1, append={"inner.list": [2]})])
        assert await backend.get(2) == {"id": 2, "inner": {"list": [1]}}
        assert shared == {"list": [1]}

    async def test_between_two_places_of_one_record(self, backend: AnyBackend) -> None:
        shared: JsonObject = {"list": [1]}
        await backend.save({"id": 1, "a": shared, "b": shared})
        await backend.update(1, append={"a.list": [2]})
        assert await backend.get(1) == {"id": 1, "a": {"list": [1, 2]}, "b": {"list": [1]}}
