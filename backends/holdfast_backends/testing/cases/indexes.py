"""Declared indexes: they never change an answer, whatever is written while they are built."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
import pytest_asyncio

from holdfast_backends.errors import InvalidValueError
from holdfast_backends.filters import parse_filter
from holdfast_backends.operations import Count, Delete, Index, Operation, Save, Update
from holdfast_backends.outcomes import IndexState, Outcome, Page
from holdfast_backends.testing.harness import (
    MAX_INTEGER,
    AnyBackend,
    Sort,
    all_pages,
    expect,
    find,
    finding,
    ids_of,
    perform,
    save,
    save_all,
    transact,
)
from holdfast_backends.values import JsonObject, RecordId

LONG = "w" * 520
VALUES: list[Any] = [
    *(None, False, True, 0, -0.0, 1, 1.0, 0.5, -7, 2**53 + 1, float(2**53), MAX_INTEGER, 1e300),
    *("", "1", "a", "ab", "a\x01", "b", "é", "\uffff", "\U00010000", [], [1], [2], {}, {"x": 1}),
    *("w" * 509, "w" * 510, "w" * 511, "w" * 512, "w" * 513, LONG, f"{LONG}a", f"{LONG}b"),
    *(f"{LONG}\x01", f"{LONG}\uffff", f"{LONG}\U00010000", f"{LONG}{LONG}", "é" * 256, "é" * 300),
    *("€" * 171, "\U0001f30a" * 128, "w" * 510 + "\x01", "w" * 510 + "\x01z", "w" * 509 + "é"),
]
QUERIES: list[tuple[dict[str, Any], list[list[str]]]] = [
    ({}, []),
    *(({"v": {"$eq": value}}, []) for value in VALUES),
    *(({"v": {"$gt": value}}, []) for value in (0, 1, 2**53, "", "a", LONG, f"{LONG}a", "w" * 511)),
    *(({"v": {"$gte": value}}, []) for value in (0.0, 2**53 + 1, "b", "w" * 512, f"{LONG}b")),
    *(({"v": {"$lt": value}}, []) for value in (0, 1.0, 1e300, "a", f"{LONG}a", "\U00010000")),
    *(({"v": {"$lte": value}}, []) for value in (-0.0, MAX_INTEGER, "", "w" * 511, LONG)),
    *(
        ({"v": {"$prefix": value}}, [])
        for value in ("", "a", "w" * 511, LONG, f"{LONG}a", "é" * 256)
    ),
    ({"v": {"$gt": 0, "$lt": 2}}, []),
    ({"v": {"$gte": "a", "$lt": f"{LONG}b"}}, []),
    ({"v": {"$gt": 0, "$lt": "b"}}, []),
    ({"v": {"$in": [None, 1, "a", LONG, [1]]}}, []),
    ({"v": {"$nin": [None, 1, "a"]}}, []),
    ({"v": {"$ne": 1}}, []),
    ({"v": {"$exists": True}}, []),
    ({"v": {"$exists": False}}, []),
    ({"v": {"$contains": "w"}}, []),
    ({"$or": [{"v": 1}, {"v": "a"}]}, []),
    ({"$not": {"v": {"$gt": 0}}}, []),
    ({"$and": [{"v": {"$gte": "w"}}, {"few": 1}]}, []),
    ({"v": 1, "few": {"$gte": 0}}, [["few", "desc"]]),
    ({}, [["v", "asc"]]),
    ({}, [["v", "desc"]]),
    ({}, [["few", "asc"]]),
    ({}, [["few", "desc"], ["v", "asc"]]),
    ({}, [["v", "asc"], ["few", "desc"]]),
    ({}, [["id", "desc"]]),
    ({}, [["deep.v", "asc"]]),
    ({"deep.v": {"$gt": 3}}, [["deep.v", "desc"]]),
    ({"few": 1}, [["v", "asc"]]),
    ({"few": {"$gt": 0}}, [["v", "desc"]]),
    ({"v": {"$gt": "a"}}, [["v", "desc"]]),
    ({"v": {"$prefix": LONG}}, [["v", "asc"]]),
    ({"v": {"$prefix": LONG}}, [["v", "desc"]]),
    ({"v": {"$gte": 0}}, [["few", "asc"]]),
    ({"v": None}, [["id", "desc"]]),
    ({"v": LONG}, [["id", "desc"]]),
    ({"id": {"$gt": 5}}, [["v", "asc"]]),
]
PATHS = ("id", "v", "few", "deep.v")
NO_PATHS = ["", ".", "a.", ".a", "a..b", "$a", "a.$b", "a\x00"]


def corpus() -> list[JsonObject]:
    """Documents with every value, many ties, some missing values, and both kinds of ids."""
    once: list[JsonObject] = [
        {"v": value, "few": number % 3, "deep": {"v": number % 7}}
        for number, value in enumerate(VALUES)
    ]
    again: list[JsonObject] = [
        {"id": f"s{number:02}", "v": value} for number, value in enumerate(reversed(VALUES))
    ]
    return [*once, {"few": 1}, *again, {"id": "none"}, {"id": "deep", "deep": {"v": 5}}]


async def declare(
    backend: AnyBackend, paths: Sequence[str] | None, collection: str = "tasks"
) -> IndexState:
    """Declare indexes, or only ask."""
    wanted = None if paths is None else tuple(paths)
    return expect(IndexState, await perform(backend, Index(collection, wanted)))


async def until_ready(backend: AnyBackend, collection: str = "tasks") -> None:
    """Ask until every declared index is built."""
    for _attempt in range(5_000):
        if (await declare(backend, None, collection)).ready:
            return
        await asyncio.sleep(0.005)
    raise AssertionError("the indexes do not become ready")


async def answers(backend: AnyBackend) -> list[list[RecordId] | Outcome]:
    """What all the queries answer: whole, the first page, and how many."""
    operations: list[Operation] = []
    for filters, sort in QUERIES:
        operations.append(finding(filters, sort=sort))
        operations.append(finding(filters, sort=sort, limit=4))
        operations.append(Count(filter=parse_filter(filters)))
    return [
        ids_of(outcome) if isinstance(outcome, Page) else outcome
        for outcome in await backend.execute(operations)
    ]


async def paged(backend: AnyBackend, filters: JsonObject, sort: Sort, limit: int) -> list[RecordId]:
    """What all pages answer together."""
    pages = await all_pages(
        backend, lambda cursor: finding(filters, sort=sort, limit=limit, cursor=cursor)
    )
    return ids_of(*pages)


@pytest.mark.asyncio(loop_scope="session")
class TestDeclaringIndexes:
    async def test_at_first_there_are_none(self, backend: AnyBackend) -> None:
        assert await declare(backend, None) == IndexState((), True)

    async def test_the_paths_are_told_as_they_were_given(self, backend: AnyBackend) -> None:
        state = await declare(backend, ["b", "a.c", "é 'x'"])
        assert state.paths == ("b", "a.c", "é 'x'")

    async def test_asking_tells_them_again(self, backend: AnyBackend) -> None:
        await declare(backend, ["b", "a"])
        assert (await declare(backend, None)).paths == ("b", "a")

    async def test_they_become_ready(self, backend: AnyBackend) -> None:
        await save_all(backend, corpus())
        await declare(backend, PATHS)
        await until_ready(backend)
        assert await declare(backend, None) == IndexState(PATHS, True)

    async def test_a_new_list_replaces_the_old(self, backend: AnyBackend) -> None:
        await declare(backend, ["a", "b"])
        await declare(backend, ["c", "a"])
        assert (await declare(backend, None)).paths == ("c", "a")

    async def test_an_empty_list_removes_them(self, backend: AnyBackend) -> None:
        await declare(backend, ["a"])
        assert await declare(backend, []) == IndexState((), True)

    async def test_declaring_the_same_again_changes_nothing(self, backend: AnyBackend) -> None:
        await declare(backend, ["a"])
        await until_ready(backend)
        assert await declare(backend, ["a"]) == IndexState(("a",), True)

    async def test_collections_have_lists_of_their_own(self, backend: AnyBackend) -> None:
        await declare(backend, ["a"], "users")
        assert await declare(backend, None, "projects") == IndexState((), True)

    async def test_a_collection_with_an_index_only_is_not_listed(self, backend: AnyBackend) -> None:
        await declare(backend, ["a"], "users")
        assert await backend.list_all(collection="users") == []
        assert (await backend.save({}, collection="users"))["id"] == 1

    async def test_a_path_may_be_given_twice(self, backend: AnyBackend) -> None:
        await save_all(backend, [{"a": 2}, {"a": 1}, {"a": 3}])
        assert (await declare(backend, ["a", "a"])).paths == ("a", "a")
        await until_ready(backend)
        await save(backend, {"a": 0})
        page = await find(backend, finding({"a": {"$lt": 3}}, sort=[["a", "asc"]], limit=9))
        assert ids_of(page) == [4, 2, 1]

    async def test_16_indexes_follow_the_writes(self, backend: AnyBackend) -> None:
        await declare(backend, [f"p{number}" for number in range(16)])
        await until_ready(backend)
        await save_all(backend, [{f"p{n % 16}": n} for n in range(64)])
        for number in range(16):
            path = f"p{number}"
            page = await find(backend, finding({path: {"$gte": 16}}, sort=[[path, "desc"]]))
            assert ids_of(page) == [number + 49, number + 33, number + 17]

    async def test_16_paths_are_lawful(self, backend: AnyBackend) -> None:
        paths = tuple(f"p{number}" for number in range(16))
        assert (await declare(backend, paths)).paths == paths

    async def test_17_paths_are_refused(self) -> None:
        with pytest.raises(InvalidValueError) as caught:
            Index(paths=tuple(f"p{number}" for number in range(17)))
        assert caught.value.loc == ("paths",)

    @pytest.mark.parametrize("path", NO_PATHS, ids=ascii)
    async def test_an_unlawful_path_is_refused(self, path: str) -> None:
        with pytest.raises(InvalidValueError) as caught:
            Index(paths=("a", path))
        assert caught.value.loc == ("paths", 1)

    async def test_the_id_is_a_path_like_any(self, backend: AnyBackend) -> None:
        await save_all(backend, [{"id": "b"}, {"id": 2}, {"id": "a"}, {"id": 1}])
        await declare(backend, ["id"])
        await until_ready(backend)
        assert ids_of(await find(backend, finding(sort=[["id", "desc"]]))) == ["b", "a", 2, 1]
        assert ids_of(await find(backend, finding({"id": {"$gte": "b"}}))) == ["b"]


@pytest.mark.asyncio(loop_scope="session")
class TestAnIndexChangesNoAnswer:
    @pytest_asyncio.fixture(loop_scope="session")
    async def filled(self, backend: AnyBackend) -> AnyBackend:
        """A backend that holds the corpus, without an index."""
        await save_all(backend, corpus())
        return backend

    async def test_declared_after_the_records(self, filled: AnyBackend) -> None:
        before = await answers(filled)
        await declare(filled, PATHS)
        await until_ready(filled)
        assert await answers(filled) == before

    async def test_declared_before_the_records(self, backend: AnyBackend) -> None:
        await declare(backend, PATHS, "indexed")
        await until_ready(backend, "indexed")
        await save_all(backend, corpus())
        await save_all(backend, corpus(), collection="indexed")
        for filters, sort in QUERIES:
            plain = await find(backend, finding(filters, sort=sort))
            indexed = await find(backend, finding(filters, sort=sort, collection="indexed"))
            assert ids_of(indexed) == ids_of(plain), (filters, sort)

    async def test_while_it_is_built(self, filled: AnyBackend) -> None:
        before = await answers(filled)
        await declare(filled, PATHS)
        assert await answers(filled) == before

    async def test_after_it_was_removed(self, filled: AnyBackend) -> None:
        before = await answers(filled)
        await declare(filled, PATHS)
        await until_ready(filled)
        await declare(filled, [])
        assert await answers(filled) == before

    async def test_after_a_path_was_put_before_it(self, filled: AnyBackend) -> None:
        before = await answers(filled)
        await declare(filled, ["v"])
        await until_ready(filled)
        await declare(filled, ["few", "v"])
        await until_ready(filled)
        assert await answers(filled) == before

    async def test_after_it_was_replaced(self, filled: AnyBackend) -> None:
        before = await answers(filled)
        await declare(filled, ["few", "v"])
        await until_ready(filled)
        await declare(filled, ["deep.v", "other", "v"])
        await until_ready(filled)
        assert await answers(filled) == before

    @pytest.mark.parametrize("limit", [1, 3, 10])
    @pytest.mark.parametrize(
        ("filters", "sort"),
        [
            ({}, [["v", "asc"]]),
            ({}, [["v", "desc"]]),
            ({"v": {"$prefix": LONG}}, [["v", "asc"]]),
            ({"v": {"$prefix": "w"}}, [["v", "desc"]]),
            ({"v": {"$gte": "a"}}, [["v", "asc"]]),
            ({"v": {"$lt": f"{LONG}b"}}, [["v", "desc"]]),
            ({"few": 1}, []),
            ({"v": LONG}, [["id", "desc"]]),
            ({}, [["few", "asc"], ["v", "desc"]]),
            ({}, [["id", "asc"]]),
            ({}, [["id", "desc"]]),
            ({"id": {"$gte": 3}}, [["id", "desc"]]),
            ({"id": {"$lt": 9}}, []),
        ],
        ids=lambda value: str(value).replace(LONG, "w…"),
    )
    async def test_nor_its_pages(
        self, filled: AnyBackend, filters: JsonObject, sort: Sort, limit: int
    ) -> None:
        whole = ids_of(await find(filled, finding(filters, sort=sort)))
        await declare(filled, PATHS)
        await until_ready(filled)
        assert await paged(filled, filters, sort, limit) == whole

    async def test_a_cursor_from_before_goes_on(self, filled: AnyBackend) -> None:
        sort: Sort = [["v", "desc"]]
        whole = ids_of(await find(filled, finding(sort=sort)))
        first = await find(filled, finding(sort=sort, limit=20))
        await declare(filled, PATHS)
        await until_ready(filled)
        rest = await find(filled, finding(sort=sort, cursor=first.next_cursor))
        assert ids_of(first, rest) == whole

    async def test_a_transaction_sees_its_own_writes_in_it(self, filled: AnyBackend) -> None:
        await declare(filled, PATHS)
        await until_ready(filled)
        outcomes = await transact(
            filled,
            Save({"id": "new", "few": 50}),
            Update(1, {"few": 51}),
            Update(2, {"few": None}),
            Delete(3),
            finding({"few": {"$gte": 2}}, sort=[["few", "desc"]], limit=3),
        )
        page = outcomes[-1]
        assert ids_of(page)[:2] == [1, "new"]  # type: ignore[arg-type]
