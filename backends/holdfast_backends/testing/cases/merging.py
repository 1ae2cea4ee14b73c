"""Update: the merge patch of RFC 7396, and what every update refuses."""

from typing import Any

import pytest

from holdfast_backends.errors import TooLargeError
from holdfast_backends.operations import Update
from holdfast_backends.testing.harness import (
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

# RFC 7396, appendix A, in its order: original, patch, result.
APPENDIX: list[tuple[JsonValue, JsonValue, JsonValue]] = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, "bar", "bar"),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]

MERGES: dict[str, tuple[JsonObject, JsonObject, JsonObject]] = {
    "an object replaces a scalar": ({"a": 1}, {"a": {"b": 2}}, {"a": {"b": 2}}),
    "an empty object replaces a scalar": ({"a": 1}, {"a": {}}, {"a": {}}),
    "an empty object leaves an object": ({"a": {"b": 1}}, {"a": {}}, {"a": {"b": 1}}),
    "a null removes an object": ({"a": {"b": 1}}, {"a": None}, {}),
    "a null for what is not there does nothing": ({"a": 1}, {"b": None}, {"a": 1}),
    "a null in an array stays": ({"a": 1}, {"a": [None]}, {"a": [None]}),
    "a null in an object in an array stays": ({}, {"a": [{"b": None}]}, {"a": [{"b": None}]}),
    "a stored null stays where it is": ({"a": None}, {"b": 1}, {"a": None, "b": 1}),
    "a deep branch is merged": (
        {"a": {"b": {"c": 1, "d": 2}, "e": 3}},
        {"a": {"b": {"c": 9}}},
        {"a": {"b": {"c": 9, "d": 2}, "e": 3}},
    ),
    "an integer becomes a float": ({"a": 1}, {"a": 1.0}, {"a": 1.0}),
    "a key with dots is one key": ({"a": {"b": 1}}, {"a.b": 2}, {"a": {"b": 1}, "a.b": 2}),
    "an empty key is a key": ({"": 1}, {"": 2}, {"": 2}),
    "an empty key can be removed": ({"": 1, "a": 1}, {"": None}, {"a": 1}),
}


@pytest.mark.asyncio(loop_scope="session")
class TestMergePatch:
    @pytest.mark.parametrize(
        ("original", "patch", "result"), APPENDIX, ids=[f"A-{n}" for n in range(len(APPENDIX))]
    )
    async def test_the_examples_of_the_rfc(
        self, backend: AnyBackend, original: JsonValue, patch: JsonValue, result: JsonValue
    ) -> None:
        await backend.save({"id": 1, "target": original})
        assert await backend.update(1, {"target": patch}) == {"id": 1, "target": result}

    async def test_the_rfcs_null_for_a_whole_value(self, backend: AnyBackend) -> None:
        await backend.save({"id": 1, "target": {"a": "foo"}})
        assert await backend.update(1, {"target": None}) == {"id": 1}

    @pytest.mark.parametrize("rule", MERGES)
    async def test_a_rule_of_merging(self, backend: AnyBackend, rule: str) -> None:
        document, changes, result = MERGES[rule]
        await backend.save({"id": 1, **document})
        await backend.update(1, changes)
        assert exactly(await backend.get(1)) == exactly({"id": 1, **result})

    async def test_it_answers_with_the_document_after_the_change(self, backend: AnyBackend) -> None:
        await backend.save({"id": 1, "a": 1})
        assert await backend.update(1, {"b": 2}) == {"id": 1, "a": 1, "b": 2}

    async def test_the_outcome_holds_what_get_finds(self, backend: AnyBackend) -> None:
        await backend.save({"id": 1})
        found = await update(backend, 1, {"a": 1})
        assert (await get(backend, 1)).record == found.record

    async def test_empty_changes_are_a_write(self, backend: AnyBackend) -> None:
        await save(backend, {"id": 1, "a": 1})
        found = await update(backend, 1, {})
        assert (found.record.version, found.record.value) == (2, {"id": 1, "a": 1})

    @pytest.mark.parametrize("record_id", [1, "1"])
    async def test_an_equal_id_in_changes_is_tolerated(
        self, backend: AnyBackend, record_id: int | str
    ) -> None:
        await backend.save({"id": record_id})
        changed = await backend.update(record_id, {"id": record_id, "a": 1})
        assert changed == {"id": record_id, "a": 1}

    @pytest.mark.parametrize("other", [2, "1", 1.0, True, None, [1], {}], ids=repr)
    async def test_another_id_in_changes_is_refused(
        self, backend: AnyBackend, other: JsonValue
    ) -> None:
        await backend.save({"id": 1})
        await refused(backend.update(1, {"id": other, "a": 1}), "changes", "id")
        assert await backend.get(1) == {"id": 1}

    async def test_an_id_deeper_down_is_a_key_like_any(self, backend: AnyBackend) -> None:
        await backend.save({"id": 1, "owner": {"id": 5}})
        changed = await backend.update(1, {"owner": {"id": 6}})
        assert changed == {"id": 1, "owner": {"id": 6}}


@pytest.mark.asyncio(loop_scope="session")
class TestWhatAnUpdateRefuses:
    async def test_an_update_of_nothing(self, backend: AnyBackend) -> None:
        await backend.save({"id": 1})
        await refused(backend.update(1))
        assert (await get(backend, 1)).record.version == 1

    @pytest.mark.parametrize("changes", [[], "text", 1, True], ids=repr)
    async def test_changes_that_are_no_object(self, backend: AnyBackend, changes: Any) -> None:
        await refused(backend.update(1, changes), "changes")

    @pytest.mark.parametrize(
        ("changes", "place"),
        [
            ({"a": {"b": float("nan")}}, ("a", "b")),
            ({"a": 2**63}, ("a",)),
            ({"a": "\x00"}, ("a",)),
            ({"a": ["\ud800"]}, ("a", 0)),
            ({"a": (1, 2)}, ("a",)),
        ],
        ids=["nan", "2^63", "NUL", "surrogate", "tuple"],
    )
    async def test_a_value_that_no_document_may_hold(
        self, backend: AnyBackend, changes: Any, place: tuple[str | int, ...]
    ) -> None:
        await backend.save({"id": 1})
        await refused(backend.update(1, changes), "changes", *place)
        assert await backend.get(1) == {"id": 1}

    @pytest.mark.parametrize("key", ["$set", "$", "k" * 257, "a\x00b"], ids=ascii)
    async def test_a_key_that_no_document_may_hold(self, backend: AnyBackend, key: str) -> None:
        await backend.save({"id": 1})
        await refused(backend.update(1, {"a": {key: 1}}))
        assert await backend.get(1) == {"id": 1}

    async def test_too_many_levels(self, backend: AnyBackend) -> None:
        await backend.save({"id": 1})
        await refused(backend.update(1, {"a": nested(64)}))
        assert await backend.get(1) == {"id": 1}

    async def test_64_levels_are_lawful(self, backend: AnyBackend) -> None:
        await backend.save({"id": 1})
        assert await backend.update(1, {"a": nested(63, 1)}) == {"id": 1, "a": nested(63, 1)}

    async def test_a_document_that_becomes_too_large(self, backend: AnyBackend) -> None:
        before = await save(backend, {"id": 1, "a": "x" * 600_000})
        await raised(TooLargeError, backend.update(1, {"b": "x" * 600_000}))
        assert (await get(backend, 1)).record == before.record

    async def test_a_failure_leaves_the_other_operations_alone(self, backend: AnyBackend) -> None:
        await backend.save({"id": 1, "a": "text"})
        await failure(backend, Update(1, {"b": 1}, increment={"a": 1}))
        assert await backend.get(1) == {"id": 1, "a": "text"}
