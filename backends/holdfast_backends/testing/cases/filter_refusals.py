"""Filters that are refused, each naming its place, and the limits just short of a refusal."""

from typing import Any

import pytest

from holdfast_backends.testing.harness import AnyBackend, nested, refused
from holdfast_backends.values import JsonObject, JsonValue

REFUSED: list[tuple[Any, tuple[str | int, ...]]] = [
    ([], ()),
    ("text", ()),
    (1, ()),
    ({"a": {"$foo": 1}}, ("a", "$foo")),
    ({"a": {"$": 1}}, ("a", "$")),
    ({"a": {"$GT": 1}}, ("a", "$GT")),
    ({"a": {"$and": []}}, ("a", "$and")),
    ({"a": {"$or": []}}, ("a", "$or")),
    ({"$foo": 1}, ("$foo",)),
    ({"$eq": 1}, ("$eq",)),
    ({"$nor": []}, ("$nor",)),
    ({"a": {"$gt": 1, "b": 2}}, ("a",)),
    ({"a": {"b": 2, "$gt": 1}}, ("a",)),
    ({"": 1}, ("",)),
    ({".": 1}, (".",)),
    ({"a.": 1}, ("a.",)),
    ({".a": 1}, (".a",)),
    ({"a..b": 1}, ("a..b",)),
    ({"a.$b": 1}, ("a.$b",)),
    ({"a.$b.c": 1}, ("a.$b.c",)),
    ({"a\x00": 1}, ("a\x00",)),
    ({1: 1}, ()),
    ({None: 1}, ()),
    ({"$and": {}}, ("$and",)),
    ({"$and": None}, ("$and",)),
    ({"$and": [1]}, ("$and", 0)),
    ({"$and": [{}, {"a": {"$foo": 1}}]}, ("$and", 1, "a", "$foo")),
    ({"$or": {"a": 1}}, ("$or",)),
    ({"$or": [[]]}, ("$or", 0)),
    ({"$not": []}, ("$not",)),
    ({"$not": 1}, ("$not",)),
    ({"$not": None}, ("$not",)),
    ({"$not": {"$or": [{"$not": {"a..b": 1}}]}}, ("$not", "$or", 0, "$not", "a..b")),
    ({"a": {"$not": 1}}, ("a", "$not")),
    ({"a": {"$not": {"b": 1}}}, ("a", "$not")),
    ({"a": {"$not": {"$gt": 1, "b": 1}}}, ("a", "$not")),
    ({"a": {"$not": {"$foo": 1}}}, ("a", "$not", "$foo")),
    ({"a": {"$not": [{"$gt": 1}]}}, ("a", "$not")),
    ({"a": {"$gt": None}}, ("a", "$gt")),
    ({"a": {"$gt": True}}, ("a", "$gt")),
    ({"a": {"$gte": []}}, ("a", "$gte")),
    ({"a": {"$lt": {}}}, ("a", "$lt")),
    ({"a": {"$lte": False}}, ("a", "$lte")),
    ({"a": {"$gt": float("nan")}}, ("a", "$gt")),
    ({"a": {"$lt": float("inf")}}, ("a", "$lt")),
    ({"a": {"$gte": 2**63}}, ("a", "$gte")),
    ({"a": {"$lte": "\x00"}}, ("a", "$lte")),
    ({"a": {"$in": 1}}, ("a", "$in")),
    ({"a": {"$in": {}}}, ("a", "$in")),
    ({"a": {"$in": "abc"}}, ("a", "$in")),
    ({"a": {"$in": None}}, ("a", "$in")),
    ({"a": {"$in": (1, 2)}}, ("a", "$in")),
    ({"a": {"$nin": 1}}, ("a", "$nin")),
    ({"a": {"$in": [1, 2**63]}}, ("a", "$in", 1)),
    ({"a": {"$nin": [1, "\ud800"]}}, ("a", "$nin", 1)),
    ({"a": {"$exists": 1}}, ("a", "$exists")),
    ({"a": {"$exists": None}}, ("a", "$exists")),
    ({"a": {"$exists": "true"}}, ("a", "$exists")),
    ({"a": {"$prefix": 1}}, ("a", "$prefix")),
    ({"a": {"$prefix": None}}, ("a", "$prefix")),
    ({"a": {"$prefix": ["a"]}}, ("a", "$prefix")),
    ({"a": {"$prefix": "\ud800"}}, ("a", "$prefix")),
    ({"a": {"$eq": {"$gt": 1}}}, ()),
    ({"a": {"$ne": {"b": {"$gt": 1}}}}, ()),
    ({"a": {"$in": [{"$gt": 1}]}}, ()),
    ({"a": {"$contains": {"$gt": 1}}}, ()),
    ({"a": {"b": {"$gt": 1}}}, ()),
    ({"a": [{"$gt": 1}]}, ()),
    ({"a": float("nan")}, ("a",)),
    ({"a": 2**63}, ("a",)),
    ({"a": -(2**63) - 1}, ("a",)),
    ({"a": "a\x00b"}, ("a",)),
    ({"a": "\ud800"}, ("a",)),
    ({"a": {"b": [float("inf")]}}, ("a", "b", 0)),
    ({"a": {"k" * 257: 1}}, ()),
    ({"a": (1, 2)}, ("a",)),
    ({"a": b"a"}, ("a",)),
    ({"a": {1: 1}}, ()),
    ({"a": nested(66)}, ()),
    ({"a": {"$contains": float("nan")}}, ("a", "$contains")),
]


@pytest.mark.asyncio(loop_scope="session")
class TestRefusedFilters:
    @pytest.mark.parametrize(("filters", "place"), REFUSED, ids=lambda value: ascii(value)[:48])
    async def test_a_query_refuses_it_and_names_the_place(
        self, backend: AnyBackend, filters: Any, place: tuple[str | int, ...]
    ) -> None:
        await refused(backend.query(filters), *place)

    async def test_a_count_refuses_it_too(self, backend: AnyBackend) -> None:
        for filters, place in REFUSED:
            await refused(backend.count(filters), *place)

    async def test_the_place_begins_at_the_filters(self, backend: AnyBackend) -> None:
        error = await refused(backend.query({"a": {"$foo": 1}}))
        assert error.loc == ("filters", "a", "$foo")


def stacked(levels: int, wrap: str) -> JsonObject:
    """A filter with so many filters nested under a combinator."""
    filters: JsonObject = {"a": 1}
    for _ in range(levels):
        inner: JsonValue = filters if wrap == "$not" else [filters]
        filters = {wrap: inner}
    return filters


def negated(levels: int) -> JsonObject:
    """A condition negated so many times at its path."""
    condition: JsonObject = {"$eq": 1}
    for _ in range(levels):
        condition = {"$not": condition}
    return {"a": condition}


@pytest.mark.asyncio(loop_scope="session")
class TestTheLimitsOfAFilter:
    @pytest.mark.parametrize("wrap", ["$and", "$or", "$not"])
    async def test_8_nested_filters_are_lawful(self, backend: AnyBackend, wrap: str) -> None:
        await backend.save({"id": 1, "a": 1})
        assert await backend.count(stacked(8, wrap)) == 1

    @pytest.mark.parametrize("wrap", ["$and", "$or", "$not"])
    async def test_9_nested_filters_are_refused(self, backend: AnyBackend, wrap: str) -> None:
        await refused(backend.query(stacked(9, wrap)))

    async def test_8_negations_of_a_path_are_lawful(self, backend: AnyBackend) -> None:
        await backend.save({"id": 1, "a": 1})
        assert await backend.count(negated(8)) == 1

    async def test_9_negations_of_a_path_are_refused(self, backend: AnyBackend) -> None:
        await refused(backend.query(negated(9)))

    async def test_a_paths_negation_counts_as_a_level(self, backend: AnyBackend) -> None:
        lawful: JsonObject = {"a": {"$not": {"$eq": 2}}}
        for _ in range(7):
            lawful = {"$and": [lawful]}
        await backend.save({"id": 1, "a": 1})
        assert await backend.count(lawful) == 1
        await refused(backend.query({"$and": [lawful]}))

    async def test_an_empty_combinator_nests_nothing(self, backend: AnyBackend) -> None:
        filters: JsonObject = {"$and": []}
        for _ in range(8):
            filters = {"$and": [filters]}
        assert await backend.count(filters) == 0

    async def test_an_empty_negation_nests_a_filter(self, backend: AnyBackend) -> None:
        filters: JsonObject = {"$not": {}}
        for _ in range(8):
            filters = {"$and": [filters]}
        await refused(backend.query(filters))

    async def test_100_000_levels_are_refused(self, backend: AnyBackend) -> None:
        await refused(backend.query(stacked(100_000, "$not")))

    async def test_200_equalities_are_lawful(self, backend: AnyBackend) -> None:
        filters: JsonObject = {f"k{number}": None for number in range(200)}
        await backend.save({})
        assert await backend.count(filters) == 1

    async def test_201_equalities_are_refused(self, backend: AnyBackend) -> None:
        await refused(backend.query({f"k{number}": 1 for number in range(201)}))

    async def test_an_operator_counts_beside_its_condition(self, backend: AnyBackend) -> None:
        filters: JsonObject = {f"k{number}": {"$ne": 1} for number in range(100)}
        await backend.save({})
        assert await backend.count(filters) == 1
        await refused(backend.query({**filters, "one": 1}))

    async def test_each_operator_of_a_condition_counts(self, backend: AnyBackend) -> None:
        both: JsonValue = {"$ne": 1, "$nin": [2]}
        filters: JsonObject = {f"k{number}": both for number in range(66)}
        await backend.save({})
        assert await backend.count({**filters, "one": None, "two": None}) == 1
        await refused(backend.query({**filters, "one": None, "two": None, "three": None}))

    @pytest.mark.parametrize("combinator", ["$and", "$or"])
    async def test_a_combinator_counts(self, backend: AnyBackend, combinator: str) -> None:
        conditions: list[JsonValue] = [{"a": number} for number in range(199)]
        await backend.save({"id": 1, "a": 1})
        assert await backend.count({combinator: conditions}) == (combinator == "$or")
        await refused(backend.query({combinator: [*conditions, {"a": 1}]}))

    async def test_values_of_in_count_for_nothing(self, backend: AnyBackend) -> None:
        await backend.save({"id": 1, "a": 500})
        assert await backend.count({"a": {"$in": list(range(1_000))}}) == 1

    @pytest.mark.parametrize("operator", ["$in", "$nin"])
    async def test_1000_values_are_lawful(self, backend: AnyBackend, operator: str) -> None:
        await backend.save({"id": 1, "a": 1_000})
        found = await backend.count({"a": {operator: list(range(1_000))}})
        assert found == (operator == "$nin")

    @pytest.mark.parametrize("operator", ["$in", "$nin"])
    async def test_1001_values_are_refused(self, backend: AnyBackend, operator: str) -> None:
        await refused(backend.query({"a": {operator: list(range(1_001))}}), "a", operator)
