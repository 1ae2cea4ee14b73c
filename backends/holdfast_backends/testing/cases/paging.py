"""Pages: all of them together are the whole answer, whoever writes meanwhile."""

from collections.abc import Callable
from typing import Any, ClassVar

import orjson
import pytest
import pytest_asyncio

from holdfast_backends.errors import InvalidValueError
from holdfast_backends.operations import Find
from holdfast_backends.outcomes import Failed, Page
from holdfast_backends.testing.harness import (
    AnyBackend,
    Sort,
    all_pages,
    delete,
    documents_of,
    find,
    finding,
    ids_of,
    perform,
    refused,
    save,
    save_all,
    update,
)
from holdfast_backends.values import JsonObject, RecordId

MIXED: list[Any] = [
    *(None, False, True, 0, 1.0, 1, -3, 2.5, "", "a", "b", "a" * 600, "\U00010000", [], [1], {}),
]
ASKS: dict[str, tuple[JsonObject, Sort]] = {
    "by id": ({}, []),
    "by id descending": ({}, [["id", "desc"]]),
    "by value": ({}, [["v", "asc"]]),
    "by value descending": ({}, [["v", "desc"]]),
    "by few values": ({}, [["few", "asc"]]),
    "by two": ({}, [["few", "desc"], ["v", "asc"]]),
    "by three": ({}, [["few", "asc"], ["v", "desc"], ["id", "asc"]]),
    "by id and more": ({}, [["id", "desc"], ["few", "asc"]]),
    "filtered": ({"few": {"$ne": 1}}, []),
    "filtered and sorted": ({"few": {"$in": [0, 2]}}, [["v", "desc"]]),
}


def asking(
    filters: JsonObject | None = None, *, sort: Sort | None = None, limit: int | None = None
) -> Callable[[str | None], Find]:
    """What asks for the page behind a cursor."""
    return lambda cursor: finding(filters, sort=sort, limit=limit, cursor=cursor)


async def first_cursor(backend: AnyBackend, operation: Find) -> str:
    """The cursor behind a page that is not the last."""
    cursor = (await find(backend, operation)).next_cursor
    assert cursor is not None
    return cursor


@pytest.mark.asyncio(loop_scope="session")
class TestPages:
    @pytest_asyncio.fixture(loop_scope="session")
    async def corpus(self, backend: AnyBackend) -> AnyBackend:
        """A backend that holds 34 records, with integer and string ids and many ties."""
        await save_all(
            backend,
            [
                *({"v": value, "few": number % 3} for number, value in enumerate(MIXED)),
                *({"id": f"s{number}", "v": value} for number, value in enumerate(MIXED)),
                {"few": 1},
                {"id": "none"},
            ],
        )
        return backend

    @pytest.mark.parametrize("limit", [1, 3, 33, 34])
    @pytest.mark.parametrize("ask", ASKS)
    async def test_together_they_are_the_whole_answer(
        self, corpus: AnyBackend, ask: str, limit: int
    ) -> None:
        filters, sort = ASKS[ask]
        whole = await find(corpus, finding(filters, sort=sort))
        pages = await all_pages(corpus, asking(filters, sort=sort, limit=limit))
        assert ids_of(*pages) == ids_of(whole)
        assert documents_of(*pages) == documents_of(whole)

    @pytest.mark.parametrize("ask", ASKS)
    async def test_all_but_the_last_are_full(self, corpus: AnyBackend, ask: str) -> None:
        filters, sort = ASKS[ask]
        pages = await all_pages(corpus, asking(filters, sort=sort, limit=4))
        assert {len(page.records) for page in pages[:-1]} == {4}
        assert 1 <= len(pages[-1].records) <= 4

    async def test_a_full_last_page_has_no_cursor(self, corpus: AnyBackend) -> None:
        page = await find(corpus, finding(limit=34))
        assert (len(page.records), page.next_cursor) == (34, None)

    async def test_a_filtered_full_last_page_has_no_cursor(self, corpus: AnyBackend) -> None:
        page = await find(corpus, finding({"v": "a"}, limit=2))
        assert (len(page.records), page.next_cursor) == (2, None)

    async def test_an_answer_without_a_limit_has_no_cursor(self, corpus: AnyBackend) -> None:
        assert (await find(corpus, finding())).next_cursor is None

    async def test_an_empty_answer_has_no_cursor(self, corpus: AnyBackend) -> None:
        page = await find(corpus, finding({"v": "nothing"}, limit=5))
        assert page == Page((), None)

    async def test_an_empty_collection_has_no_cursor(self, backend: AnyBackend) -> None:
        assert await find(backend, finding(limit=5)) == Page((), None)

    async def test_a_cursor_can_be_used_again(self, corpus: AnyBackend) -> None:
        cursor = await first_cursor(corpus, finding(limit=5))
        once = await find(corpus, finding(limit=5, cursor=cursor))
        assert await find(corpus, finding(limit=5, cursor=cursor)) == once

    @pytest.mark.parametrize("limit", [0, -1, 10_001, 1.0, True, "1"], ids=repr)
    async def test_an_unlawful_limit_is_refused(self, corpus: AnyBackend, limit: int) -> None:
        await refused(corpus.query(limit=limit), "limit")

    async def test_the_largest_limit_is_lawful(self, corpus: AnyBackend) -> None:
        assert len(await corpus.query(limit=10_000)) == 34


@pytest.mark.asyncio(loop_scope="session")
class TestWhatACursorBelongsTo:
    FILTERS: ClassVar[JsonObject] = {"few": {"$gte": 0}, "v": {"$exists": True}}
    SORT: ClassVar[Sort] = (("v", "asc"),)

    @pytest_asyncio.fixture(loop_scope="session")
    async def cursor(self, backend: AnyBackend) -> str:
        """A cursor of a sorted and filtered query, in whose collection more is left."""
        documents: list[JsonObject] = [{"few": n % 2, "v": n} for n in range(10)]
        await save_all(backend, documents)
        await save_all(backend, documents, collection="other")
        return await first_cursor(backend, finding(self.FILTERS, sort=self.SORT, limit=4))

    async def test_its_own_query_goes_on(self, backend: AnyBackend, cursor: str) -> None:
        page = await find(backend, finding(self.FILTERS, sort=self.SORT, limit=4, cursor=cursor))
        assert ids_of(page) == [5, 6, 7, 8]

    async def test_another_limit_goes_on(self, backend: AnyBackend, cursor: str) -> None:
        page = await find(backend, finding(self.FILTERS, sort=self.SORT, limit=2, cursor=cursor))
        assert ids_of(page) == [5, 6]

    async def test_no_limit_goes_on(self, backend: AnyBackend, cursor: str) -> None:
        page = await find(backend, finding(self.FILTERS, sort=self.SORT, cursor=cursor))
        assert ids_of(page) == [5, 6, 7, 8, 9, 10]

    async def test_other_fields_go_on(self, backend: AnyBackend, cursor: str) -> None:
        page = await find(
            backend, finding(self.FILTERS, sort=self.SORT, fields=[], limit=1, cursor=cursor)
        )
        assert documents_of(page) == [{"id": 5}]

    async def test_another_byte_limit_goes_on(self, backend: AnyBackend, cursor: str) -> None:
        operation = finding(self.FILTERS, sort=self.SORT, max_bytes=9_999, cursor=cursor)
        assert ids_of(await find(backend, operation)) == [5, 6, 7, 8, 9, 10]

    async def test_filters_in_another_key_order_go_on(
        self, backend: AnyBackend, cursor: str
    ) -> None:
        swapped: JsonObject = dict(reversed(self.FILTERS.items()))
        page = await find(backend, finding(swapped, sort=self.SORT, limit=4, cursor=cursor))
        assert ids_of(page) == [5, 6, 7, 8]

    @pytest.mark.parametrize(
        "filters",
        [{}, {"few": {"$gte": 0}}, {"few": {"$gte": 1}, "v": {"$exists": True}}],
        ids=["none", "fewer", "others"],
    )
    async def test_other_filters_are_refused(self, cursor: str, filters: JsonObject) -> None:
        self._refuse(lambda: finding(filters, sort=self.SORT, cursor=cursor))

    @pytest.mark.parametrize(
        "sort",
        [None, [["v", "desc"]], [["few", "asc"]], [["v", "asc"], ["few", "asc"]]],
        ids=["none", "reverse", "another path", "one more"],
    )
    async def test_another_sort_is_refused(self, cursor: str, sort: Sort | None) -> None:
        self._refuse(lambda: finding(self.FILTERS, sort=sort, cursor=cursor))

    async def test_another_collection_is_refused(self, cursor: str) -> None:
        self._refuse(
            lambda: finding(self.FILTERS, sort=self.SORT, cursor=cursor, collection="other")
        )

    async def test_another_action_is_refused(self, backend: AnyBackend) -> None:
        await save_all(backend, [{}, {}, {}])
        cursor = await first_cursor(backend, finding(limit=1, scope="list"))
        self._refuse(lambda: finding(limit=1, scope="query", cursor=cursor))

    @pytest.mark.parametrize("place", [0, 1, 5, 15, 16, 17, -2, -1])
    async def test_an_altered_character_is_refused(self, cursor: str, place: int) -> None:
        letters = list(cursor)
        letters[place] = "A" if letters[place] != "A" else "B"
        altered = "".join(letters)
        self._refuse(lambda: finding(self.FILTERS, sort=self.SORT, cursor=altered))

    @pytest.mark.parametrize(
        "alter",
        [
            lambda _cursor: "",
            lambda cursor: cursor[:-1],
            lambda cursor: cursor[1:],
            lambda cursor: f"{cursor}A",
            lambda cursor: f"{cursor}=",
            lambda cursor: f" {cursor}",
            lambda cursor: f"{cursor}\n",
            lambda cursor: cursor + cursor,
            lambda cursor: cursor[:8] + "\u00e9" + cursor[8:],
            lambda _cursor: "cursor",
            lambda _cursor: "\ud800",
            lambda _cursor: "A" * 100_000,
        ],
        ids=[
            *("empty", "cut", "beheaded", "longer", "padded", "space", "newline", "twice"),
            *("accent", "word", "surrogate", "long"),
        ],
    )
    async def test_an_altered_text_is_refused(
        self, cursor: str, alter: Callable[[str], str]
    ) -> None:
        altered = alter(cursor)
        self._refuse(lambda: finding(self.FILTERS, sort=self.SORT, cursor=altered))

    def _refuse(self, build: Callable[[], Find]) -> None:
        with pytest.raises(InvalidValueError) as caught:
            build()
        assert caught.value.loc[-1:] == ("cursor",)


@pytest.mark.asyncio(loop_scope="session")
class TestPagingWhileOthersWrite:
    @pytest.mark.parametrize("sort", [None, [["n", "asc"]], [["n", "desc"]]], ids=str)
    async def test_a_stable_record_is_met_once(
        self, backend: AnyBackend, sort: Sort | None
    ) -> None:
        await save_all(backend, [{"n": 10 * number} for number in range(20)])
        stable: set[RecordId] = {number for number in range(1, 21) if number not in (3, 4, 11, 12)}
        met: list[RecordId] = []
        ask, cursor = asking(sort=sort, limit=3), None
        for turn in range(100):
            page = await find(backend, ask(cursor))
            met += ids_of(page)
            cursor = page.next_cursor
            if cursor is None:
                break
            if turn == 0:
                await delete(backend, 3)
            if turn == 1:
                await delete(backend, 12)
                await update(backend, 4, {"n": 55})
            await update(backend, 11, {"n": 10 * turn})
            await save(backend, {"n": 10 * turn + 5})
            await save(backend, {"id": f"s{turn}", "n": 0})
            if turn > 4:
                await delete(backend, f"s{turn - 1}")
        assert {record_id for record_id in met if record_id in stable} == stable
        assert len([record_id for record_id in met if record_id in stable]) == len(stable)

    @pytest.mark.parametrize("direction", ["asc", "desc"])
    async def test_the_record_a_cursor_stands_at_may_go(
        self, backend: AnyBackend, direction: str
    ) -> None:
        await save_all(backend, [{"n": number} for number in range(6)])
        sort: Sort = [["n", direction]]
        first = await find(backend, finding(sort=sort, limit=2))
        for record in first.records:
            await delete(backend, record.id)
        rest = await find(backend, finding(sort=sort, cursor=first.next_cursor))
        assert ids_of(rest) == ([3, 4, 5, 6] if direction == "asc" else [4, 3, 2, 1])

    async def test_a_cursor_goes_on_when_everything_is_gone(self, backend: AnyBackend) -> None:
        await save_all(backend, [{} for _ in range(4)])
        cursor = await first_cursor(backend, finding(limit=2))
        for number in range(1, 5):
            await delete(backend, number)
        assert await find(backend, finding(limit=2, cursor=cursor)) == Page((), None)

    async def test_what_is_added_behind_the_cursor_is_met(self, backend: AnyBackend) -> None:
        await save_all(backend, [{"id": number} for number in (1, 2, 5)])
        cursor = await first_cursor(backend, finding(limit=2))
        await save(backend, {"id": 4})
        assert ids_of(await find(backend, finding(cursor=cursor))) == [4, 5]

    async def test_what_is_added_before_it_is_not(self, backend: AnyBackend) -> None:
        await save_all(backend, [{"id": number} for number in (2, 3, 5)])
        cursor = await first_cursor(backend, finding(limit=2))
        await save(backend, {"id": 1})
        assert ids_of(await find(backend, finding(cursor=cursor))) == [5]


@pytest.mark.asyncio(loop_scope="session")
class TestPagesOfSoManyBytes:
    @pytest_asyncio.fixture(loop_scope="session")
    async def size(self, backend: AnyBackend) -> int:
        """How large all five documents are, as one JSON array."""
        await save_all(backend, [{"text": "é" * 50} for _ in range(5)])
        return len(orjson.dumps(await backend.list_all()))

    async def test_what_fits_exactly_is_one_page(self, backend: AnyBackend, size: int) -> None:
        page = await find(backend, finding(max_bytes=size))
        assert (ids_of(page), page.next_cursor) == ([1, 2, 3, 4, 5], None)

    async def test_one_byte_less_ends_it_early(self, backend: AnyBackend, size: int) -> None:
        page = await find(backend, finding(max_bytes=size - 1))
        assert ids_of(page) == [1, 2, 3, 4]
        assert page.next_cursor is not None

    @pytest.mark.parametrize("parts", [2, 3, 5])
    async def test_nothing_is_dropped(self, backend: AnyBackend, size: int, parts: int) -> None:
        pages = await all_pages(
            backend, lambda cursor: finding(max_bytes=size // parts + 2, cursor=cursor)
        )
        assert ids_of(*pages) == [1, 2, 3, 4, 5]
        assert len(pages) > 1

    async def test_every_page_fits(self, backend: AnyBackend, size: int) -> None:
        limit = size // 2
        pages = await all_pages(backend, lambda cursor: finding(max_bytes=limit, cursor=cursor))
        assert all(len(orjson.dumps(documents_of(page))) <= limit for page in pages)

    async def test_the_smaller_limit_holds(self, backend: AnyBackend, size: int) -> None:
        assert ids_of(await find(backend, finding(max_bytes=2 * size, limit=2))) == [1, 2]
        assert ids_of(await find(backend, finding(max_bytes=size // 2, limit=5))) == [1, 2]

    async def test_only_the_kept_fields_count(self, backend: AnyBackend, size: int) -> None:
        page = await find(backend, finding(max_bytes=size // 3, fields=[]))
        assert ids_of(page) == [1, 2, 3, 4, 5]

    async def test_a_sorted_page_is_shorter_too(self, backend: AnyBackend, size: int) -> None:
        sort: Sort = [["id", "desc"]]
        pages = await all_pages(
            backend, lambda cursor: finding(sort=sort, max_bytes=size // 2, cursor=cursor)
        )
        assert ids_of(*pages) == [5, 4, 3, 2, 1]

    async def test_a_page_never_stands_still(self, backend: AnyBackend, size: int) -> None:
        outcome = await perform(backend, finding(max_bytes=size // 100))
        assert isinstance(outcome, Failed) or len(outcome.records) == 1  # type: ignore[union-attr]
