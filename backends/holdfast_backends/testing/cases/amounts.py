"""Update: increments and appends, their order, and the types and ranges they insist on."""

from typing import Any

import pytest

from holdfast_backends.errors import InvalidValueError, TooLargeError
from holdfast_backends.operations import Update
from holdfast_backends.testing.harness import (
    MAX_INTEGER,
    MIN_INTEGER,
    AnyBackend,
    exactly,
    failure,
    get,
    nested,
    raised,
    refused,
    save,
    update,
)
from holdfast_backends.values import JsonObject, JsonValue

INCREMENTS: list[tuple[int | float, int | float, int | float]] = [
    (1, 1, 2),
    (1, -3, -2),
    (0, 0, 0),
    (1, 0.5, 1.5),
    (1, 1.0, 2.0),
    (1.5, 1, 2.5),
    (0.1, 0.2, 0.30000000000000004),
    (1.0, -1, 0.0),
    (2**53, 1, 2**53 + 1),
    (MAX_INTEGER - 1, 1, MAX_INTEGER),
    (MIN_INTEGER + 1, -1, MIN_INTEGER),
    (MAX_INTEGER, MIN_INTEGER, -1),
    (1e308, 7e307, 1.7e308),
    (1.7976931348623157e308, -1.7976931348623157e308, 0.0),
]

NO_PATHS: list[str] = ["", ".", "a.", ".a", "a..b", "$a", "a.$b", "a\x00"]

OTHER_TYPES: dict[str, JsonValue] = {
    "null": None,
    "boolean": True,
    "text": "1",
    "array": [1],
    "object": {"a": 1},
}


@pytest.mark.asyncio(loop_scope="session")
class TestIncrement:
    @pytest.mark.parametrize(("start", "amount", "result"), INCREMENTS)
    async def test_it_adds(
        self, backend: AnyBackend, start: int | float, amount: int | float, result: int | float
    ) -> None:
        await backend.save({"id": 1, "n": start})
        await backend.update(1, increment={"n": amount})
        assert exactly((await backend.get(1))["n"]) == exactly(result)

    @pytest.mark.parametrize("amount", [1, -1, 0.5, MAX_INTEGER, MIN_INTEGER])
    async def test_a_missing_path_starts_at_0(
        self, backend: AnyBackend, amount: int | float
    ) -> None:
        await backend.save({"id": 1})
        assert exactly(await backend.update(1, increment={"n": amount})) == exactly(
            {"id": 1, "n": amount}
        )

    async def test_a_path_leads_into_objects(self, backend: AnyBackend) -> None:
        await backend.save({"id": 1, "stats": {"views": 2, "likes": 1}})
        changed = await backend.update(1, increment={"stats.views": 3})
        assert changed == {"id": 1, "stats": {"views": 5, "likes": 1}}

    async def test_missing_parents_become_objects(self, backend: AnyBackend) -> None:
        await backend.save({"id": 1})
        assert await backend.update(1, increment={"a.b.c": 1}) == {"id": 1, "a": {"b": {"c": 1}}}

    async def test_several_paths_at_once(self, backend: AnyBackend) -> None:
        await backend.save({"id": 1, "a": 1, "b": 1})
        assert await backend.update(1, increment={"a": 1, "b": -1}) == {"id": 1, "a": 2, "b": 0}

    @pytest.mark.parametrize("kind", OTHER_TYPES)
    async def test_another_type_is_refused(self, backend: AnyBackend, kind: str) -> None:
        before = await save(backend, {"id": 1, "n": OTHER_TYPES[kind]})
        failed = await failure(backend, Update(1, increment={"n": 1}))
        assert type(failed.error) is InvalidValueError
        assert (await get(backend, 1)).record == before.record

    @pytest.mark.parametrize("kind", ["null", "boolean", "text", "array"])
    async def test_a_parent_that_is_no_object_is_refused(
        self, backend: AnyBackend, kind: str
    ) -> None:
        before = await save(backend, {"id": 1, "a": OTHER_TYPES[kind]})
        failed = await failure(backend, Update(1, increment={"a.0": 1}))
        assert type(failed.error) is InvalidValueError
        assert (await get(backend, 1)).record == before.record

    @pytest.mark.parametrize(
        ("start", "amount"),
        [(MAX_INTEGER, 1), (MIN_INTEGER, -1), (1, MAX_INTEGER), (1.7976931348623157e308, 1e300)],
    )
    async def test_past_the_range_it_is_refused(
        self, backend: AnyBackend, start: int | float, amount: int | float
    ) -> None:
        before = await save(backend, {"id": 1, "n": start})
        failed = await failure(backend, Update(1, increment={"n": amount}))
        assert type(failed.error) is InvalidValueError
        assert (await get(backend, 1)).record == before.record

    async def test_the_refusal_names_the_path(self, backend: AnyBackend) -> None:
        await backend.save({"id": 1, "stats": {"views": "many"}})
        failed = await failure(backend, Update(1, increment={"stats.views": 1}))
        assert isinstance(failed.error, InvalidValueError)
        assert "stats.views" in failed.error.loc

    @pytest.mark.parametrize("amount", ["1", None, True, [1], {}, 2**63, float("inf")], ids=repr)
    async def test_an_amount_that_is_no_number_is_refused(
        self, backend: AnyBackend, amount: Any
    ) -> None:
        await backend.save({"id": 1})
        await refused(backend.update(1, increment={"n": amount}), "increment", "n")
        assert await backend.get(1) == {"id": 1}

    @pytest.mark.parametrize("path", NO_PATHS, ids=ascii)
    async def test_an_unlawful_path_is_refused(self, backend: AnyBackend, path: str) -> None:
        await refused(backend.update(1, increment={path: 1}), "increment", path)

    @pytest.mark.parametrize("path", ["id", "id.a"])
    async def test_no_id_is_incremented(self, backend: AnyBackend, path: str) -> None:
        await backend.save({"id": 1})
        await refused(backend.update(1, increment={path: 1}), "increment", path)

    async def test_a_path_may_not_make_too_long_a_key(self, backend: AnyBackend) -> None:
        before = await save(backend, {"id": 1})
        await raised(InvalidValueError, backend.update(1, increment={"k" * 257: 1}))
        assert (await get(backend, 1)).record == before.record

    async def test_a_path_may_not_make_too_many_levels(self, backend: AnyBackend) -> None:
        before = await save(backend, {"id": 1})
        await raised(InvalidValueError, backend.update(1, increment={".".join("a" * 65): 1}))
        assert (await get(backend, 1)).record == before.record

    async def test_a_path_may_make_64_levels(self, backend: AnyBackend) -> None:
        await backend.save({"id": 1})
        await backend.update(1, increment={".".join("n" * 64): 1})
        assert await backend.get(1) == {"id": 1, "n": nested(63, 1)}

    @pytest.mark.parametrize("increment", [[], "n", 1], ids=repr)
    async def test_an_increment_that_is_no_object_is_refused(
        self, backend: AnyBackend, increment: Any
    ) -> None:
        await refused(backend.update(1, increment=increment), "increment")


@pytest.mark.asyncio(loop_scope="session")
class TestAppend:
    async def test_it_adds_at_the_end(self, backend: AnyBackend) -> None:
        await backend.save({"id": 1, "tags": ["a"]})
        assert await backend.update(1, append={"tags": ["b", "c"]}) == {
            "id": 1,
            "tags": ["a", "b", "c"],
        }

    async def test_a_missing_path_starts_empty(self, backend: AnyBackend) -> None:
        await backend.save({"id": 1})
        assert await backend.update(1, append={"tags": ["a"]}) == {"id": 1, "tags": ["a"]}

    async def test_no_values_make_an_empty_array(self, backend: AnyBackend) -> None:
        await backend.save({"id": 1})
        assert await backend.update(1, append={"tags": []}) == {"id": 1, "tags": []}

    async def test_missing_parents_become_objects(self, backend: AnyBackend) -> None:
        await backend.save({"id": 1})
        assert await backend.update(1, append={"a.b": [1]}) == {"id": 1, "a": {"b": [1]}}

    async def test_an_array_is_appended_as_one_value(self, backend: AnyBackend) -> None:
        await backend.save({"id": 1, "rows": [[1]]})
        assert await backend.update(1, append={"rows": [[2, 3]]}) == {
            "id": 1,
            "rows": [[1], [2, 3]],
        }

    async def test_every_type_of_value_can_be_appended(self, backend: AnyBackend) -> None:
        values: list[JsonValue] = [None, True, 1, 1.0, -0.0, "a", [], {}, {"a": [None]}]
        await backend.save({"id": 1})
        await backend.update(1, append={"all": values})
        assert exactly((await backend.get(1))["all"]) == exactly(values)

    async def test_equal_values_are_kept_twice(self, backend: AnyBackend) -> None:
        await backend.save({"id": 1, "tags": ["a"]})
        assert await backend.update(1, append={"tags": ["a"]}) == {"id": 1, "tags": ["a", "a"]}

    @pytest.mark.parametrize("value", [None, True, 1, 1.0, "text", {}], ids=repr)
    async def test_another_type_is_refused(self, backend: AnyBackend, value: JsonValue) -> None:
        before = await save(backend, {"id": 1, "a": value})
        failed = await failure(backend, Update(1, append={"a": [1]}))
        assert type(failed.error) is InvalidValueError
        assert (await get(backend, 1)).record == before.record

    @pytest.mark.parametrize("value", [None, 1, "text", [1]], ids=repr)
    async def test_a_parent_that_is_no_object_is_refused(
        self, backend: AnyBackend, value: JsonValue
    ) -> None:
        before = await save(backend, {"id": 1, "a": value})
        failed = await failure(backend, Update(1, append={"a.b": [1]}))
        assert type(failed.error) is InvalidValueError
        assert (await get(backend, 1)).record == before.record

    @pytest.mark.parametrize("values", [None, 1, "text", {}, (1,)], ids=repr)
    async def test_what_is_no_array_of_values_is_refused(
        self, backend: AnyBackend, values: Any
    ) -> None:
        await refused(backend.update(1, append={"a": values}), "append", "a")

    async def test_a_value_that_no_document_may_hold_is_refused(self, backend: AnyBackend) -> None:
        await refused(backend.update(1, append={"a": [1, float("nan")]}), "append", "a", 1)

    @pytest.mark.parametrize("path", NO_PATHS, ids=ascii)
    async def test_an_unlawful_path_is_refused(self, backend: AnyBackend, path: str) -> None:
        await refused(backend.update(1, append={path: [1]}), "append", path)

    async def test_nothing_is_appended_to_an_id(self, backend: AnyBackend) -> None:
        await refused(backend.update("a", append={"id": [1]}), "append", "id")

    async def test_too_deep_a_value_is_refused(self, backend: AnyBackend) -> None:
        before = await save(backend, {"id": 1})
        # The document, the array and 63 objects: 65 levels.
        await raised(InvalidValueError, backend.update(1, append={"a": [nested(63)]}))
        assert (await get(backend, 1)).record == before.record

    async def test_a_value_at_64_levels_is_lawful(self, backend: AnyBackend) -> None:
        await backend.save({"id": 1})
        assert await backend.update(1, append={"a": [nested(62)]}) == {"id": 1, "a": [nested(62)]}

    async def test_a_document_that_becomes_too_large(self, backend: AnyBackend) -> None:
        before = await save(backend, {"id": 1, "a": ["x" * 600_000]})
        await raised(TooLargeError, backend.update(1, append={"a": ["x" * 600_000]}))
        assert (await get(backend, 1)).record == before.record

    @pytest.mark.parametrize("append", [[], "a", 1], ids=repr)
    async def test_an_append_that_is_no_object_is_refused(
        self, backend: AnyBackend, append: Any
    ) -> None:
        await refused(backend.update(1, append=append), "append")


@pytest.mark.asyncio(loop_scope="session")
class TestTheOrderOfAnUpdate:
    async def test_changes_come_before_increments(self, backend: AnyBackend) -> None:
        await backend.save({"id": 1, "n": "text"})
        assert (await backend.update(1, {"n": 10}, increment={"n": 5}))["n"] == 15

    async def test_changes_come_before_appends(self, backend: AnyBackend) -> None:
        await backend.save({"id": 1, "tags": ["old"]})
        assert (await backend.update(1, {"tags": ["new"]}, append={"tags": ["a"]}))["tags"] == [
            "new",
            "a",
        ]

    async def test_a_removed_value_starts_again(self, backend: AnyBackend) -> None:
        await backend.save({"id": 1, "n": 7})
        assert (await backend.update(1, {"n": None}, increment={"n": 1}))["n"] == 1

    async def test_an_increment_comes_before_an_append_at_its_path(
        self, backend: AnyBackend
    ) -> None:
        before = await save(backend, {"id": 1})
        # The increment makes a number of it, to which nothing can be appended.
        failed = await failure(backend, Update(1, increment={"a": 1}, append={"a": [1]}))
        assert type(failed.error) is InvalidValueError
        assert (await get(backend, 1)).record == before.record

    async def test_an_increment_makes_the_parent_an_append_goes_into(
        self, backend: AnyBackend
    ) -> None:
        await backend.save({"id": 1})
        changed = await backend.update(1, append={"a.list": [1]}, increment={"a.n": 1})
        assert changed == {"id": 1, "a": {"n": 1, "list": [1]}}

    async def test_all_three_are_one_write(self, backend: AnyBackend) -> None:
        await save(backend, {"id": 1, "n": 1, "tags": []})
        found = await update(backend, 1, {"a": 1}, increment={"n": 1}, append={"tags": ["x"]})
        expected: JsonObject = {"id": 1, "n": 2, "tags": ["x"], "a": 1}
        assert (found.record.version, found.record.value) == (2, expected)

    async def test_a_failed_part_undoes_the_others(self, backend: AnyBackend) -> None:
        before = await save(backend, {"id": 1, "n": 1, "tags": "text"})
        await failure(backend, Update(1, {"a": 1}, increment={"n": 1}, append={"tags": ["x"]}))
        assert (await get(backend, 1)).record == before.record

    @pytest.mark.parametrize("parts", [{"increment": {}}, {"append": {}}], ids=repr)
    async def test_an_empty_part_is_a_write(
        self, backend: AnyBackend, parts: dict[str, Any]
    ) -> None:
        await save(backend, {"id": 1, "a": 1})
        found = await update(backend, 1, **parts)
        assert (found.record.version, found.record.value) == (2, {"id": 1, "a": 1})
