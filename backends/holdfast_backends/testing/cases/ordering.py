"""Order: one total order over all values, the same on every backend, and its exact reverse."""

from typing import Any

import pytest
import pytest_asyncio

from holdfast_backends.testing.harness import (
    MAX_INTEGER,
    MIN_INTEGER,
    AnyBackend,
    Sort,
    find,
    finding,
    ids_of,
    refused,
    save_all,
)
from holdfast_backends.values import JsonObject, JsonValue, RecordId

# In ascending order; each row is a class of ties, in the order of their ids. MISSING is none.
MISSING: Any = object()
CLASSES: list[list[tuple[RecordId, Any]]] = [
    [(50, None), (51, MISSING), ("null-1", MISSING), ("null-2", None)],
    [(10, False), ("f", False)],
    [(9, True)],
    [(40, -1.7976931348623157e308)],
    [(39, MIN_INTEGER), ("min", float(-(2**63)))],
    [(38, -(2**53) - 1)],
    [(37, float(-(2**53)))],
    [(36, -1.5)],
    [(35, -1), ("minus", -1.0)],
    [(34, -5e-324)],
    [(31, 0), (32, -0.0), (33, 0.0)],
    [(30, 5e-324)],
    [(29, 0.5)],
    [(27, 1.0), (28, 1)],
    [(26, 10)],
    [(25, float(2**53))],
    [(24, 2**53 + 1)],
    [(23, MAX_INTEGER - 1)],
    [(22, MAX_INTEGER)],
    [(21, float(2**63))],
    [(20, 1e300)],
    [(80, "")],
    [(79, "\x01")],
    [(78, " ")],
    [(77, "1")],
    [(76, "10")],
    [(75, "2")],
    [(74, "A")],
    [(73, "Z")],
    [(71, "a"), (72, "a")],
    [(70, "a\x01")],
    [(69, "a ")],
    [(68, "aa")],
    [(67, "ab")],
    [(66, "b")],
    [(65, "e\u0301")],
    [(64, "ß")],
    [(63, "é")],
    [(62, "\ud7ff")],
    [(61, "\uffff")],
    [(60, "\U00010000")],
    [(59, "\U0010ffff")],
    [(3, []), (4, [9]), (5, [1, 2]), ("array", [])],
    [(6, {"z": 1}), (7, {}), (8, {"a": 1}), ("object", {})],
]
NO_PATHS = ["", ".", "a.", ".a", "a..b", "$a", "a.$b", "a\x00"]
NO_SORT_KEYS: list[Any] = [
    *([], ["a"], ["a", "up"], ["a", "ASC"], ["a", None], ["a", "asc", 1]),
    *("aa", 5, None, {"a": 1}, {"a": 1, "b": 2}),
]
ASCENDING: list[RecordId] = [record_id for ties in CLASSES for record_id, _value in ties]
CORPUS: list[JsonObject] = [
    {"id": record_id} if value is MISSING else {"id": record_id, "v": value}
    for ties in CLASSES
    for record_id, value in ties
]


async def order(
    backend: AnyBackend, sort: Sort | None = None, filters: JsonObject | None = None
) -> list[RecordId]:
    """The ids in the order of a query."""
    return ids_of(await find(backend, finding(filters, sort=sort)))


@pytest.mark.asyncio(loop_scope="session")
class TestTheOrderOfIds:
    @pytest_asyncio.fixture(loop_scope="session")
    async def corpus(self, backend: AnyBackend) -> AnyBackend:
        """A backend that holds ids of all kinds, saved in no order."""
        ids: list[RecordId] = [
            10,
            "b",
            2,
            "10",
            "a",
            1,
            MAX_INTEGER,
            "B",
            "é",
            "\uffff",
            "\U00010000",
        ]
        await save_all(backend, [{"id": record_id} for record_id in ids])
        return backend

    IN_ORDER: tuple[RecordId, ...] = (
        *(1, 2, 10, MAX_INTEGER),
        *("10", "B", "a", "b", "é", "\uffff", "\U00010000"),
    )

    async def test_a_list_is_in_the_order_of_ids(self, corpus: AnyBackend) -> None:
        assert [document["id"] for document in await corpus.list_all()] == [*self.IN_ORDER]

    async def test_so_is_a_query_without_a_sort(self, corpus: AnyBackend) -> None:
        assert await order(corpus) == [*self.IN_ORDER]

    async def test_so_is_a_query_with_an_empty_sort(self, corpus: AnyBackend) -> None:
        assert await order(corpus, []) == [*self.IN_ORDER]

    async def test_a_query_sorted_by_id(self, corpus: AnyBackend) -> None:
        assert await order(corpus, [["id", "asc"]]) == [*self.IN_ORDER]

    async def test_a_query_sorted_by_id_descending(self, corpus: AnyBackend) -> None:
        assert await order(corpus, [["id", "desc"]]) == [*reversed(self.IN_ORDER)]

    async def test_an_id_that_begins_with_another_comes_after_it(self, backend: AnyBackend) -> None:
        await save_all(backend, [{"id": name} for name in ["a\x01", "ab", "a", "a ", "aa"]])
        assert await order(backend) == ["a", "a\x01", "a ", "aa", "ab"]


@pytest.mark.asyncio(loop_scope="session")
class TestTheOrderOfValues:
    @pytest_asyncio.fixture(loop_scope="session")
    async def corpus(self, backend: AnyBackend) -> AnyBackend:
        """A backend that holds values of every class, saved in no order."""
        await save_all(backend, CORPUS[1::2] + CORPUS[::2])
        return backend

    async def test_all_classes_ascending(self, corpus: AnyBackend) -> None:
        assert await order(corpus, [["v", "asc"]]) == ASCENDING

    async def test_descending_is_the_exact_reverse(self, corpus: AnyBackend) -> None:
        assert await order(corpus, [["v", "desc"]]) == ASCENDING[::-1]

    @pytest.mark.parametrize("direction", ["asc", "desc"])
    async def test_a_filter_leaves_the_order(self, corpus: AnyBackend, direction: str) -> None:
        numbers = [
            record_id
            for ties in CLASSES
            for record_id, value in ties
            if type(value) in (int, float) and value > 0
        ]
        expected = numbers if direction == "asc" else numbers[::-1]
        assert await order(corpus, [["v", direction]], {"v": {"$gt": 0}}) == expected

    @pytest.mark.parametrize("direction", ["asc", "desc"])
    @pytest.mark.parametrize("limit", [1, 2, 7, 30])
    async def test_a_limit_takes_the_first(
        self, corpus: AnyBackend, direction: str, limit: int
    ) -> None:
        expected = ASCENDING if direction == "asc" else ASCENDING[::-1]
        page = await find(corpus, finding(sort=[["v", direction]], limit=limit))
        assert ids_of(page) == expected[:limit]

    async def test_the_same_key_twice_is_one_key(self, corpus: AnyBackend) -> None:
        assert await order(corpus, [["v", "asc"], ["v", "asc"]]) == ASCENDING

    async def test_a_path_that_is_nowhere_leaves_the_ids(self, corpus: AnyBackend) -> None:
        assert await order(corpus, [["nowhere", "asc"]]) == await order(corpus)
        assert await order(corpus, [["nowhere", "desc"]]) == (await order(corpus))[::-1]


@pytest.mark.asyncio(loop_scope="session")
class TestSeveralSortKeys:
    @pytest_asyncio.fixture(loop_scope="session")
    async def corpus(self, backend: AnyBackend) -> AnyBackend:
        """A backend that holds every pair of two small values, twice."""
        pairs: list[tuple[JsonValue, JsonValue]] = [(a, b) for a in (1, 2) for b in ("x", "y")]
        await save_all(backend, [{"a": a, "b": b} for a, b in [*pairs, *pairs]])
        return backend

    @pytest.mark.parametrize(
        ("sort", "expected"),
        [
            ([["a", "asc"]], [1, 2, 5, 6, 3, 4, 7, 8]),
            ([["a", "desc"]], [8, 7, 4, 3, 6, 5, 2, 1]),
            ([["a", "asc"], ["b", "asc"]], [1, 5, 2, 6, 3, 7, 4, 8]),
            ([["a", "asc"], ["b", "desc"]], [6, 2, 5, 1, 8, 4, 7, 3]),
            ([["a", "desc"], ["b", "asc"]], [3, 7, 4, 8, 1, 5, 2, 6]),
            ([["a", "desc"], ["b", "desc"]], [8, 4, 7, 3, 6, 2, 5, 1]),
            ([["b", "asc"], ["a", "asc"]], [1, 5, 3, 7, 2, 6, 4, 8]),
            ([["b", "desc"], ["a", "asc"]], [2, 6, 4, 8, 1, 5, 3, 7]),
            ([["a", "asc"], ["id", "desc"]], [6, 5, 2, 1, 8, 7, 4, 3]),
            ([["a", "desc"], ["id", "asc"]], [3, 4, 7, 8, 1, 2, 5, 6]),
            ([["id", "desc"], ["a", "asc"]], [8, 7, 6, 5, 4, 3, 2, 1]),
        ],
        ids=str,
    )
    async def test_ties_fall_to_the_next_key_and_at_last_to_the_id(
        self, corpus: AnyBackend, sort: Sort, expected: list[RecordId]
    ) -> None:
        assert await order(corpus, sort) == expected

    async def test_arrays_and_objects_fall_to_the_next_key(self, backend: AnyBackend) -> None:
        values: list[JsonValue] = [[2], [1], {"b": 1}, {"a": 1}]
        await save_all(
            backend, [{"v": value, "rank": -number} for number, value in enumerate(values)]
        )
        assert await order(backend, [["v", "asc"], ["rank", "asc"]]) == [2, 1, 4, 3]

    async def test_null_and_missing_fall_to_the_next_key(self, backend: AnyBackend) -> None:
        await save_all(backend, [{"v": None, "rank": 2}, {"rank": 1}, {"v": None, "rank": 0}])
        assert await order(backend, [["v", "asc"], ["rank", "asc"]]) == [3, 2, 1]


@pytest.mark.asyncio(loop_scope="session")
class TestSortPaths:
    async def test_a_path_leads_into_objects(self, backend: AnyBackend) -> None:
        await save_all(backend, [{"a": {"n": 2}}, {"a": {"n": 1}}, {"a": {"n": 3}}])
        assert await order(backend, [["a.n", "asc"]]) == [2, 1, 3]

    async def test_it_does_not_lead_into_arrays(self, backend: AnyBackend) -> None:
        await save_all(backend, [{"a": [2]}, {"a": [1]}, {"a": {"0": 0}}])
        assert await order(backend, [["a.0", "asc"]]) == [1, 2, 3]

    async def test_a_key_with_dots_is_not_found(self, backend: AnyBackend) -> None:
        await save_all(backend, [{"a.n": 2}, {"a.n": 1}])
        assert await order(backend, [["a.n", "asc"]]) == [1, 2]

    @pytest.mark.parametrize(
        "path", ["", ".", "a.", ".a", "a..b", "$a", "a.$b", "a\x00"], ids=ascii
    )
    async def test_an_unlawful_path_is_refused(self, backend: AnyBackend, path: str) -> None:
        error = await refused(backend.query(sort=[["a", "asc"], [path, "asc"]]))
        assert error.loc[:2] == ("sort", 1)

    @pytest.mark.parametrize(
        "key",
        [
            [],
            ["a"],
            ["a", "up"],
            ["a", "ASC"],
            ["a", None],
            ["a", "asc", 1],
            "aa",
            5,
            None,
            {"a": 1},
        ],
        ids=repr,
    )
    async def test_what_is_no_sort_key_is_refused(self, backend: AnyBackend, key: Any) -> None:
        error = await refused(backend.query(sort=[key]))
        assert error.loc[:2] == ("sort", 0)

    @pytest.mark.parametrize("path", [1, None, ["a"]], ids=repr)
    async def test_a_path_that_is_no_text_is_refused(self, backend: AnyBackend, path: Any) -> None:
        error = await refused(backend.query(sort=[[path, "asc"]]))
        assert error.loc[:2] == ("sort", 0)
