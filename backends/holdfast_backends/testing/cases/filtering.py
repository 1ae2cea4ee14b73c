"""Filters: every operator against every kind of value, and where paths lead."""

import pytest
import pytest_asyncio

from holdfast_backends.testing.harness import MAX_INTEGER, AnyBackend, count, matching, save_all
from holdfast_backends.values import JsonObject, JsonValue, RecordId

# The value at `v` of each record; the record `missing` has none.
VALUES: dict[str, JsonValue] = {
    "null": None,
    "false": False,
    "true": True,
    "minus": -1,
    "zero": 0,
    "zero-float": -0.0,
    "half": 0.5,
    "one": 1,
    "one-float": 1.0,
    "big-float": float(2**53),
    "big": 2**53 + 1,
    "max": MAX_INTEGER,
    "empty": "",
    "digit": "1",
    "upper": "A",
    "a": "a",
    "ab": "ab",
    "b": "b",
    "e-acute": "é",
    "last-bmp": "\uffff",
    "astral": "\U00010000",
    "array": [],
    "array-1": [1],
    "array-null": [None],
    "array-text": ["a", "b"],
    "array-nested": [[1], {"x": 1}],
    "object": {},
    "object-x": {"x": 1},
    "object-xy": {"x": 1, "y": None},
}
CORPUS: list[JsonObject] = [
    {"id": "missing"},
    *({"id": name, "v": value} for name, value in VALUES.items()),
]
EVERYTHING = {"missing", *VALUES}
NULLISH = {"null", "missing"}
ZEROS = {"zero", "zero-float"}
ONES = {"one", "one-float"}
HUGE = {"big", "big-float", "max"}
TEXTS = {"empty", "digit", "upper", "a", "ab", "b", "e-acute", "last-bmp", "astral"}
ARRAYS = {"array", "array-1", "array-null", "array-text", "array-nested"}
OBJECTS = {"object", "object-x", "object-xy"}


def in_words(value: object) -> str:
    """The name of a case: the same in every process, also where it is a set."""
    names = sorted(value, key=repr) if isinstance(value, set) else value
    return ascii(names)[:48]


EQUAL: list[tuple[JsonValue, set[str]]] = [
    (None, NULLISH),
    (False, {"false"}),
    (True, {"true"}),
    (0, ZEROS),
    (0.0, ZEROS),
    (-0.0, ZEROS),
    (-1, {"minus"}),
    (0.5, {"half"}),
    (1, ONES),
    (1.0, ONES),
    (2**53, {"big-float"}),
    (float(2**53), {"big-float"}),
    (2**53 + 1, {"big"}),
    (MAX_INTEGER, {"max"}),
    (float(2**63), set()),
    ("", {"empty"}),
    ("1", {"digit"}),
    ("a", {"a"}),
    ("A", {"upper"}),
    ("é", {"e-acute"}),
    ("e\u0301", set()),
    ("null", set()),
    ([], {"array"}),
    ([1], {"array-1"}),
    ([1.0], {"array-1"}),
    ([True], set()),
    ([None], {"array-null"}),
    (["a", "b"], {"array-text"}),
    (["b", "a"], set()),
    (["a"], set()),
    ([[1.0], {"x": 1.0}], {"array-nested"}),
    ({}, {"object"}),
    ({"x": 1}, {"object-x"}),
    ({"x": 1.0}, {"object-x"}),
    ({"x": True}, set()),
    ({"y": None, "x": 1}, {"object-xy"}),
    ({"x": 1, "y": None}, {"object-xy"}),
]

# Each filter's condition on `v`, and the records it holds for.
CONDITIONS: list[tuple[JsonValue, set[str]]] = [
    ({"$gt": 0}, {"half", *ONES, *HUGE}),
    ({"$gt": -0.0}, {"half", *ONES, *HUGE}),
    ({"$gte": 0}, {"half", *ZEROS, *ONES, *HUGE}),
    ({"$lt": 0}, {"minus"}),
    ({"$lte": 0.0}, {"minus", *ZEROS}),
    ({"$gt": 1}, HUGE),
    ({"$lt": 1.0}, {"minus", "half", *ZEROS}),
    ({"$gt": 2**53}, {"big", "max"}),
    ({"$gte": 2**53 + 1}, {"big", "max"}),
    ({"$gt": float(2**53)}, {"big", "max"}),
    ({"$lte": float(2**53)}, {"minus", "half", *ZEROS, *ONES, "big-float"}),
    ({"$lt": 2**53 + 1}, {"minus", "half", *ZEROS, *ONES, "big-float"}),
    ({"$gte": float(2**63)}, set()),
    ({"$lt": float(2**63)}, {"minus", "half", *ZEROS, *ONES, *HUGE}),
    ({"$gt": -1e308}, {"minus", "half", *ZEROS, *ONES, *HUGE}),
    ({"$lt": "a"}, {"empty", "digit", "upper"}),
    ({"$lte": "a"}, {"empty", "digit", "upper", "a"}),
    ({"$gt": "a"}, {"ab", "b", "e-acute", "last-bmp", "astral"}),
    ({"$gte": "ab"}, {"ab", "b", "e-acute", "last-bmp", "astral"}),
    ({"$gt": "\uffff"}, {"astral"}),
    ({"$lt": "\U00010000"}, TEXTS - {"astral"}),
    ({"$gte": ""}, TEXTS),
    ({"$lt": ""}, set()),
    ({"$gt": 0, "$lt": 1}, {"half"}),
    ({"$gte": 0, "$lt": "b"}, set()),
    ({"$in": []}, set()),
    ({"$in": [None]}, NULLISH),
    ({"$in": [1]}, ONES),
    ({"$in": [True, 1]}, {"true", *ONES}),
    ({"$in": ["a", "b", "a"]}, {"a", "b"}),
    ({"$in": [[], {}]}, {"array", "object"}),
    ({"$in": [[1], {"x": 1.0}, 0]}, {"array-1", "object-x", *ZEROS}),
    ({"$nin": []}, EVERYTHING),
    ({"$nin": [None]}, EVERYTHING - NULLISH),
    ({"$nin": [1, "a", False]}, EVERYTHING - ONES - {"a", "false"}),
    ({"$exists": True}, EVERYTHING - {"missing"}),
    ({"$exists": False}, {"missing"}),
    ({"$contains": 1}, {"array-1"}),
    ({"$contains": 1.0}, {"array-1"}),
    ({"$contains": True}, set()),
    ({"$contains": None}, {"array-null"}),
    ({"$contains": "a"}, {"a", "ab", "array-text"}),
    ({"$contains": "b"}, {"ab", "b", "array-text"}),
    ({"$contains": "A"}, {"upper"}),
    ({"$contains": ""}, TEXTS),
    ({"$contains": [1]}, {"array-nested"}),
    ({"$contains": {"x": 1.0}}, {"array-nested"}),
    ({"$contains": {}}, set()),
    ({"$contains": []}, set()),
    ({"$prefix": ""}, TEXTS),
    ({"$prefix": "a"}, {"a", "ab"}),
    ({"$prefix": "A"}, {"upper"}),
    ({"$prefix": "ab"}, {"ab"}),
    ({"$prefix": "\U00010000"}, {"astral"}),
    ({"$not": {"$eq": 1}}, EVERYTHING - ONES),
    ({"$not": {"$gt": 0}}, EVERYTHING - {"half", *ONES, *HUGE}),
    ({"$not": {"$gt": 0, "$lt": 1}}, EVERYTHING - {"half"}),
    ({"$not": {"$exists": True}}, {"missing"}),
    ({"$not": {"$not": {"$prefix": "a"}}}, {"a", "ab"}),
    ({"$not": {"$eq": None}}, EVERYTHING - NULLISH),
    ({"$ne": None, "$exists": True}, EVERYTHING - NULLISH),
    ({"$eq": None, "$exists": True}, {"null"}),
]

# Whole filters.
COMBINATIONS: list[tuple[JsonObject, set[str]]] = [
    ({}, EVERYTHING),
    ({"$and": []}, EVERYTHING),
    ({"$or": []}, set()),
    ({"$not": {}}, set()),
    ({"$not": {"$or": []}}, EVERYTHING),
    ({"$and": [{}]}, EVERYTHING),
    ({"$or": [{}]}, EVERYTHING),
    ({"$and": [{"v": {"$gt": 0}}, {"v": {"$lt": 1}}]}, {"half"}),
    ({"$or": [{"v": 1}, {"v": "a"}]}, {*ONES, "a"}),
    ({"$or": [{"v": 1}, {"v": {"$gt": 0}}], "v": {"$lt": 1}}, {"half"}),
    ({"$not": {"v": 1}}, EVERYTHING - ONES),
    ({"$not": {"v": {"$gt": 0}}}, EVERYTHING - {"half", *ONES, *HUGE}),
    ({"$not": {"$not": {"v": None}}}, NULLISH),
    ({"v": {"$gte": ""}, "id": {"$prefix": "a"}}, {"a", "ab", "astral"}),
    ({"$and": [{"$or": [{"v": 1}, {"v": 0}]}, {"$not": {"id": "one"}}]}, {"one-float", *ZEROS}),
    ({"$or": [{"v": {"$exists": False}}, {"$and": [{"v": []}]}]}, {"missing", "array"}),
]


@pytest.mark.asyncio(loop_scope="session")
class TestOperators:
    @pytest_asyncio.fixture(loop_scope="session")
    async def corpus(self, backend: AnyBackend) -> AnyBackend:
        """A backend that holds one record of each kind of value."""
        await save_all(backend, CORPUS)
        return backend

    @pytest.mark.parametrize(("operand", "expected"), EQUAL, ids=in_words)
    async def test_a_plain_value_is_equality(
        self, corpus: AnyBackend, operand: JsonValue, expected: set[RecordId]
    ) -> None:
        assert await matching(corpus, {"v": operand}) == expected

    @pytest.mark.parametrize(("operand", "expected"), EQUAL, ids=in_words)
    async def test_eq_is_equality(
        self, corpus: AnyBackend, operand: JsonValue, expected: set[RecordId]
    ) -> None:
        assert await matching(corpus, {"v": {"$eq": operand}}) == expected

    @pytest.mark.parametrize(("operand", "expected"), EQUAL, ids=in_words)
    async def test_ne_is_its_exact_negation(
        self, corpus: AnyBackend, operand: JsonValue, expected: set[RecordId]
    ) -> None:
        assert await matching(corpus, {"v": {"$ne": operand}}) == EVERYTHING - expected

    @pytest.mark.parametrize(("operand", "expected"), EQUAL, ids=in_words)
    async def test_in_of_one_value_is_equality(
        self, corpus: AnyBackend, operand: JsonValue, expected: set[RecordId]
    ) -> None:
        assert await matching(corpus, {"v": {"$in": [operand]}}) == expected

    @pytest.mark.parametrize(("condition", "expected"), CONDITIONS, ids=in_words)
    async def test_a_condition_holds(
        self, corpus: AnyBackend, condition: JsonValue, expected: set[RecordId]
    ) -> None:
        assert await matching(corpus, {"v": condition}) == expected

    @pytest.mark.parametrize(("filters", "expected"), COMBINATIONS, ids=in_words)
    async def test_a_combination_holds(
        self, corpus: AnyBackend, filters: JsonObject, expected: set[RecordId]
    ) -> None:
        assert await matching(corpus, filters) == expected

    async def test_count_agrees_with_query(self, corpus: AnyBackend) -> None:
        for condition, expected in CONDITIONS:
            assert await count(corpus, {"v": condition}) == len(expected)


PATHS: list[tuple[JsonObject, set[RecordId]]] = [
    ({"owner.name": "b"}, {"deep"}),
    ({"owner.name": None}, {"flat", "dotted", "array", "scalar", "empty", "numeric"}),
    ({"owner.name": {"$exists": True}}, {"deep"}),
    ({"owner.name": {"$exists": False}}, {"flat", "dotted", "array", "scalar", "empty", "numeric"}),
    ({"owner": {"name": "b"}}, set()),
    ({"owner": {"age": 3.0, "name": "b"}}, {"deep"}),
    ({"list.0": 1}, set()),
    ({"list.0": {"$exists": True}}, {"numeric"}),
    ({"list.name": "b"}, set()),
    ({"list.length": {"$exists": True}}, set()),
    ({"list.0": "zero"}, {"numeric"}),
    ({"owner.name.first": {"$exists": True}}, set()),
    ({"owner.name.first": None}, {"deep", "flat", "dotted", "array", "scalar", "empty", "numeric"}),
    ({"a b": 1}, {"flat"}),
    ({"é": 1}, {"flat"}),
    ({"%": 1}, {"flat"}),
    ({'"': 1}, {"flat"}),
    ({"'; --": 1}, {"flat"}),
]


@pytest.mark.asyncio(loop_scope="session")
class TestPaths:
    @pytest_asyncio.fixture(loop_scope="session")
    async def corpus(self, backend: AnyBackend) -> AnyBackend:
        """A backend that holds documents of several shapes."""
        await save_all(
            backend,
            [
                {"id": "deep", "owner": {"name": "b", "age": 3}},
                {"id": "dotted", "owner.name": "b"},
                {"id": "flat", "a b": 1, "é": 1, "%": 1, '"': 1, "'; --": 1},
                {"id": "array", "list": [1, {"name": "b"}], "owner": [{"name": "b"}]},
                {"id": "numeric", "list": {"0": "zero"}},
                {"id": "scalar", "owner": "b"},
                {"id": "empty", "": {"": 1}, "owner": {}},
            ],
        )
        return backend

    @pytest.mark.parametrize(("filters", "expected"), PATHS, ids=in_words)
    async def test_where_a_path_leads(
        self, corpus: AnyBackend, filters: JsonObject, expected: set[RecordId]
    ) -> None:
        assert await matching(corpus, filters) == expected

    async def test_several_paths_must_all_hold(self, corpus: AnyBackend) -> None:
        assert await matching(corpus, {"owner.name": "b", "owner.age": 3}) == {"deep"}
        assert await matching(corpus, {"owner.name": "b", "owner.age": 4}) == set()

    async def test_a_path_of_64_segments(self, backend: AnyBackend) -> None:
        value: JsonValue = 1
        for _ in range(63):
            value = {"n": value}
        await backend.save({"id": 1, "n": value})
        assert await backend.count({".".join(["n"] * 64): 1}) == 1


@pytest.mark.asyncio(loop_scope="session")
class TestTheIdAsAPath:
    @pytest_asyncio.fixture(loop_scope="session")
    async def corpus(self, backend: AnyBackend) -> AnyBackend:
        """A backend that holds integer and string ids."""
        ids: list[RecordId] = [1, 2, 7, "1", "7", "seven"]
        await save_all(backend, [{"id": record_id} for record_id in ids])
        return backend

    @pytest.mark.parametrize(
        ("condition", "expected"),
        [
            (7, {7}),
            (7.0, {7}),
            ("7", {"7"}),
            ({"$gt": 1}, {2, 7}),
            ({"$gte": "7"}, {"7", "seven"}),
            ({"$in": [1, "1", 9]}, {1, "1"}),
            ({"$prefix": "se"}, {"seven"}),
            ({"$exists": False}, set()),
            (None, set()),
            ({"$ne": 7}, {1, 2, "1", "7", "seven"}),
        ],
        ids=in_words,
    )
    async def test_it_is_a_path_like_any(
        self, corpus: AnyBackend, condition: JsonValue, expected: set[RecordId]
    ) -> None:
        assert await matching(corpus, {"id": condition}) == expected
