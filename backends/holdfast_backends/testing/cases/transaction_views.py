"""What a transaction sees and answers: its own writes, its limits, its neighbours."""

import pytest

from holdfast_backends.errors import (
    TooLargeError,
)
from holdfast_backends.filters import parse_filter
from holdfast_backends.operations import (
    Collections,
    Count,
    Delete,
    Get,
    Operation,
    Save,
    Simple,
    Transaction,
    Update,
)
from holdfast_backends.outcomes import (
    Batched,
    CollectionCounts,
    Counted,
    Failed,
    Found,
    Page,
    Saved,
)
from holdfast_backends.testing.harness import (
    AnyBackend,
    expect,
    failure,
    find,
    finding,
    get,
    identify,
    ids_of,
    perform,
    save,
    save_all,
    transact,
)
from holdfast_backends.values import JsonObject


@pytest.mark.asyncio(loop_scope="session")
class TestReadsOfATransaction:
    async def test_get_sees_an_earlier_save(self, backend: AnyBackend) -> None:
        _saved, found = await transact(backend, Save({"id": 1, "a": 1}), Get(1))
        assert expect(Found, found).record.value == {"id": 1, "a": 1}

    async def test_get_does_not_see_a_later_save(self, backend: AnyBackend) -> None:
        await save(backend, {"id": 1, "a": "old"})
        found, _saved = await transact(backend, Get(1), Save({"id": 1, "a": "new"}))
        assert expect(Found, found).record.value == {"id": 1, "a": "old"}

    async def test_an_update_sees_an_earlier_update(self, backend: AnyBackend) -> None:
        await transact(
            backend,
            Save({"id": 1, "n": 0}),
            *(Update(1, increment={"n": 1}) for _ in range(10)),
        )
        assert await backend.get(1) == {"id": 1, "n": 10}

    async def test_a_version_of_the_same_transaction_matches(self, backend: AnyBackend) -> None:
        await transact(
            backend, Save({"id": 1}), Update(1, {"a": 1}, if_version=1), Delete(1, if_version=2)
        )
        assert await backend.list_all() == []

    async def test_count_sees_earlier_writes(self, backend: AnyBackend) -> None:
        await save_all(backend, [{"a": 1}, {"a": 1}])
        where = parse_filter({"a": 1})
        outcomes = await transact(
            backend,
            Count(),
            Count(filter=where),
            Save({"a": 1}),
            Update(1, {"a": 2}),
            Delete(2),
            Count(),
            Count(filter=where),
        )
        counts = [outcome.count for outcome in outcomes if isinstance(outcome, Counted)]
        assert counts == [2, 2, 2, 1]

    async def test_collections_sees_earlier_writes(self, backend: AnyBackend) -> None:
        await save(backend, {}, collection="old")
        outcomes = await transact(
            backend, Save({}, "new"), Save({}, "new"), Delete(1, "old"), Collections()
        )
        assert expect(CollectionCounts, outcomes[-1]).counts == (("new", 2),)

    async def test_list_sees_earlier_writes(self, backend: AnyBackend) -> None:
        await save_all(backend, [{"id": 1}, {"id": 3}, {"id": 5}])
        outcomes = await transact(
            backend, Save({"id": 2}), Delete(3), Update(5, {"a": 1}), Save({"id": "x"}), finding()
        )
        page = expect(Page, outcomes[-1])
        assert [record.value for record in page.records] == [
            {"id": 1},
            {"id": 2},
            {"id": 5, "a": 1},
            {"id": "x"},
        ]

    @pytest.mark.parametrize(
        ("direction", "expected"), [("asc", [4, 2, 7, 1, 6]), ("desc", [6, 1, 7, 2, 4])]
    )
    async def test_a_sorted_query_sees_them(
        self, backend: AnyBackend, direction: str, expected: list[int]
    ) -> None:
        documents: list[JsonObject] = [{"n": 40}, {"n": 20}, {"n": 30}, {"n": 10}, {"n": 60}]
        await save_all(backend, documents)
        outcomes = await transact(
            backend,
            Delete(3),
            Update(5, {"n": None}),
            Save({"n": 50}),
            Save({"n": 25}),
            finding({"n": {"$gt": 0}}, sort=[["n", direction]]),
        )
        assert ids_of(expect(Page, outcomes[-1])) == expected

    @pytest.mark.parametrize("limit", [1, 2, 3])
    async def test_a_limited_page_sees_them(self, backend: AnyBackend, limit: int) -> None:
        await save_all(backend, [{"id": number} for number in (1, 3, 5, 7)])
        outcomes = await transact(
            backend, Delete(1), Save({"id": 2}), Delete(5), Save({"id": 8}), finding(limit=limit)
        )
        page = expect(Page, outcomes[-1])
        assert ids_of(page) == [2, 3, 7, 8][:limit]
        assert page.next_cursor is not None

    async def test_a_full_last_page_knows_of_them(self, backend: AnyBackend) -> None:
        await save_all(backend, [{"id": number} for number in (1, 2, 3)])
        outcomes = await transact(backend, Delete(3), finding(limit=2))
        assert expect(Page, outcomes[-1]).next_cursor is None

    async def test_its_cursor_goes_on_outside(self, backend: AnyBackend) -> None:
        outcomes = await transact(backend, *(Save({}) for _ in range(5)), finding(limit=2))
        cursor = expect(Page, outcomes[-1]).next_cursor
        assert ids_of(await find(backend, finding(cursor=cursor))) == [3, 4, 5]

    async def test_an_undone_write_is_not_seen_by_the_same_call(self, backend: AnyBackend) -> None:
        transaction = Transaction((Save({"id": 1}), Get(99)))
        operations: list[Operation] = [transaction, Count(), finding()]
        failed, counted, page = await backend.execute(operations)
        assert isinstance(failed, Failed)
        assert (counted, page) == (Counted(0), Page((), None))


@pytest.mark.asyncio(loop_scope="session")
class TestTransactionsOfSoManyBytes:
    async def test_results_that_fit_are_answered(self, backend: AnyBackend) -> None:
        assert len(await transact(backend, Save({}), Get(1), max_bytes=10_000)) == 2

    @pytest.mark.parametrize("atomic", [True, False])
    async def test_results_that_do_not_fit_are_too_large(
        self, backend: AnyBackend, atomic: bool
    ) -> None:
        operations = tuple(Save({"text": "x" * 1_000}) for _ in range(10))
        failed = await failure(backend, Transaction(operations, atomic, max_bytes=5_000))
        assert type(failed.error) is TooLargeError

    @pytest.mark.parametrize("atomic", [True, False])
    async def test_then_nothing_was_changed(self, backend: AnyBackend, atomic: bool) -> None:
        before = await save(backend, {"id": 1})
        writes = [Save({"text": "x" * 1_000}) for _ in range(10)]
        operations: tuple[Simple, ...] = (Update(1, {"a": 1}), Delete(1), *writes)
        await failure(backend, Transaction(operations, atomic, max_bytes=5_000))
        assert (await get(backend, 1)).record == before.record
        assert (await backend.save({}))["id"] == 2

    async def test_read_documents_count(self, backend: AnyBackend) -> None:
        await save(backend, {"id": 1, "text": "x" * 3_000})
        failed = await failure(backend, Transaction((Get(1), Get(1)), max_bytes=5_000))
        assert type(failed.error) is TooLargeError

    async def test_pages_count(self, backend: AnyBackend) -> None:
        await save_all(backend, [{"text": "x" * 1_000} for _ in range(10)])
        failed = await failure(backend, Transaction((finding(),), max_bytes=5_000))
        assert type(failed.error) is TooLargeError


@pytest.mark.asyncio(loop_scope="session")
class TestTransactionsBesideOthers:
    async def test_a_failed_one_leaves_its_neighbours(self, backend: AnyBackend) -> None:
        outcomes = await backend.execute(
            [Save({}), Transaction((Save({}), Save({}), Get(99))), Save({})]
        )
        assert [type(outcome) for outcome in outcomes] == [Saved, Failed, Saved]
        assert await backend.list_all() == [{"id": 1}, {"id": 2}]

    async def test_it_sees_the_operations_before_it(self, backend: AnyBackend) -> None:
        outcomes = await backend.execute(
            [Save({"id": 1, "n": 1}), Transaction((Update(1, increment={"n": 1}), Get(1)))]
        )
        found = expect(Found, expect(Batched, outcomes[1]).outcomes[1])
        assert found.record.value == {"id": 1, "n": 2}

    async def test_it_is_seen_by_the_operations_after_it(self, backend: AnyBackend) -> None:
        outcomes = await backend.execute([Transaction((Save({"id": 1}),)), Get(1)])
        assert expect(Found, outcomes[1]).record.value == {"id": 1}

    async def test_a_failed_ones_record_can_be_written_after_it(self, backend: AnyBackend) -> None:
        outcomes = await backend.execute(
            [Transaction((Save({"id": 1, "a": 1}), Get(99))), Save({"id": 1, "a": 2})]
        )
        saved = expect(Saved, outcomes[1])
        assert (saved.created, saved.record.version) == (True, 1)

    async def test_an_identity_of_its_own_is_unknown_to_its_parts(
        self, backend: AnyBackend
    ) -> None:
        transaction = Transaction((Save({}), Save({})), identity=identify())
        expect(Batched, await perform(backend, transaction))
        assert await backend.count() == 2
