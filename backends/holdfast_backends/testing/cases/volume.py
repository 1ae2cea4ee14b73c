"""Many records, and large ones: answers that no store can give in one piece."""

import pytest
import pytest_asyncio

from holdfast_backends.operations import Delete, Operation, Save, Transaction
from holdfast_backends.outcomes import Batched
from holdfast_backends.testing.cases.indexes import declare, until_ready
from holdfast_backends.testing.harness import (
    AnyBackend,
    Sort,
    all_pages,
    documents_of,
    expect,
    find,
    finding,
    ids_of,
    perform,
    save_all,
)
from holdfast_backends.values import JsonObject, RecordId

MANY = 3_000
LONG = "w" * 600
ASKS: dict[str, tuple[JsonObject, Sort]] = {
    "by id": ({}, []),
    "by id descending": ({}, [["id", "desc"]]),
    "by few values": ({}, [["few", "asc"]]),
    "by few values descending": ({}, [["few", "desc"]]),
    "by long texts": ({}, [["text", "asc"]]),
    "by long texts descending": ({"text": {"$prefix": LONG}}, [["text", "desc"]]),
    "by two": ({"few": {"$gt": 0}}, [["few", "desc"], ["text", "asc"]]),
}


@pytest.mark.asyncio(loop_scope="session")
class TestManyRecords:
    @pytest_asyncio.fixture(loop_scope="session")
    async def filled(self, backend: AnyBackend) -> AnyBackend:
        """A backend that holds so many records, with many ties."""
        await save_all(
            backend,
            [
                {"few": number % 4, "text": f"{LONG}{number * 7 % 1_000:04}"}
                for number in range(MANY)
            ],
        )
        return backend

    def _in_order(self, ask: str) -> list[RecordId]:
        numbers = range(MANY)
        text = {number: number * 7 % 1_000 for number in numbers}
        match ask:
            case "by id":
                order = sorted(numbers)
            case "by id descending":
                order = sorted(numbers, reverse=True)
            case "by few values":
                order = sorted(numbers, key=lambda number: (number % 4, number))
            case "by few values descending":
                order = sorted(numbers, key=lambda number: (-(number % 4), -number))
            case "by long texts":
                order = sorted(numbers, key=lambda number: (text[number], number))
            case "by long texts descending":
                order = sorted(numbers, key=lambda number: (-text[number], -number))
            case _:
                some = [number for number in numbers if number % 4]
                order = sorted(some, key=lambda number: (-(number % 4), text[number], number))
        return [number + 1 for number in order]

    @pytest.mark.parametrize("indexed", [False, True], ids=["plain", "indexed"])
    @pytest.mark.parametrize("ask", ASKS)
    async def test_all_pages_are_the_whole_answer(
        self, filled: AnyBackend, ask: str, indexed: bool
    ) -> None:
        if indexed:
            await declare(filled, ["few", "text"])
            await until_ready(filled)
        filters, sort = ASKS[ask]
        pages = await all_pages(
            filled, lambda cursor: finding(filters, sort=sort, limit=999, cursor=cursor)
        )
        whole = await find(filled, finding(filters, sort=sort))
        assert ids_of(*pages) == self._in_order(ask)
        assert ids_of(whole) == self._in_order(ask)

    async def test_a_count_counts_all(self, filled: AnyBackend) -> None:
        assert await filled.count() == MANY
        assert await filled.count({"few": {"$in": [1, 3]}}) == MANY // 2

    async def test_many_can_be_deleted_at_once(self, filled: AnyBackend) -> None:
        deletes: list[Operation] = [Delete(number) for number in range(1, MANY, 2)]
        await filled.execute(deletes)
        assert ids_of(await find(filled, finding())) == list(range(2, MANY + 1, 2))

    async def test_a_transaction_may_hold_1000_writes_beside_them(self, filled: AnyBackend) -> None:
        writes = tuple(Save({"id": number, "few": 9}) for number in range(1, 1_001))
        expect(Batched, await perform(filled, Transaction(writes)))
        page = await find(filled, finding({"few": {"$gte": 3}}, sort=[["few", "desc"]], limit=1))
        assert ids_of(page) == [1_000]
        assert await filled.count({"few": 9}) == 1_000


@pytest.mark.asyncio(loop_scope="session")
class TestLargeRecords:
    @pytest_asyncio.fixture(loop_scope="session")
    async def filled(self, backend: AnyBackend) -> AnyBackend:
        """A backend that holds 24 documents of nearly a mebibyte."""
        for start in range(0, 24, 8):
            await save_all(
                backend,
                [{"n": number, "text": "x" * 1_000_000} for number in range(start, start + 8)],
            )
        return backend

    async def test_a_page_holds_what_fits(self, filled: AnyBackend) -> None:
        page = await find(filled, finding(max_bytes=8 * 1024 * 1024))
        assert ids_of(page) == [1, 2, 3, 4, 5, 6, 7, 8]

    async def test_all_pages_are_the_whole_answer(self, filled: AnyBackend) -> None:
        sort: Sort = [["n", "desc"]]
        pages = await all_pages(
            filled, lambda cursor: finding(sort=sort, max_bytes=5_500_000, cursor=cursor)
        )
        assert [document["n"] for document in documents_of(*pages)] == list(range(23, -1, -1))
        assert [len(page.records) for page in pages] == [5, 5, 5, 5, 4]

    async def test_small_projections_of_them_are_one_page(self, filled: AnyBackend) -> None:
        page = await find(filled, finding(fields=["n"], max_bytes=10_000))
        assert documents_of(page) == [{"id": number + 1, "n": number} for number in range(24)]
