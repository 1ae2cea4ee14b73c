"""TTL: a record lives so long by the backend's clock; expiry is a deletion."""

import asyncio
from typing import Any

import pytest
import pytest_asyncio

from holdfast_backends.errors import TaskNotFoundError
from holdfast_backends.operations import Collections, Delete, Get, Save, Update
from holdfast_backends.outcomes import CollectionCounts
from holdfast_backends.testing.harness import (
    MICROSECONDS,
    AnyBackend,
    ManualClock,
    all_pages,
    delete,
    documents_of,
    expect,
    failure,
    find,
    finding,
    get,
    ids_of,
    perform,
    refused,
    save,
    update,
)
from holdfast_backends.values import JsonObject

NO_TTLS: list[Any] = [0, -1, 0.0, float("nan"), float("inf"), 3_155_760_001, True, "1", [1]]


@pytest.mark.asyncio(loop_scope="session")
class TestTtl:
    async def test_expires_at_is_told(self, backend: AnyBackend, clock: ManualClock) -> None:
        saved = await save(backend, {}, ttl_seconds=10)
        assert saved.record.expires_at == clock.now + 10 * MICROSECONDS

    async def test_get_tells_it_too(self, backend: AnyBackend, clock: ManualClock) -> None:
        await save(backend, {}, ttl_seconds=10)
        assert (await get(backend, 1)).record.expires_at == clock.now + 10 * MICROSECONDS

    async def test_without_one_nothing_expires(
        self, backend: AnyBackend, clock: ManualClock
    ) -> None:
        assert (await save(backend, {})).record.expires_at is None
        clock.advance(3_155_760_001)
        await backend.sweep()
        assert await backend.get(1) == {"id": 1}

    async def test_a_fraction_of_a_second(self, backend: AnyBackend, clock: ManualClock) -> None:
        saved = await save(backend, {}, ttl_seconds=0.25)
        assert saved.record.expires_at == clock.now + 250_000

    async def test_the_longest(self, backend: AnyBackend, clock: ManualClock) -> None:
        saved = await save(backend, {}, ttl_seconds=3_155_760_000)
        assert saved.record.expires_at == clock.now + 3_155_760_000 * MICROSECONDS

    @pytest.mark.parametrize("ttl", NO_TTLS, ids=repr)
    async def test_what_is_no_ttl_is_refused(self, backend: AnyBackend, ttl: Any) -> None:
        await refused(backend.save({}, ttl_seconds=ttl), "ttl_seconds")
        assert await backend.list_all() == []

    async def test_before_the_end_the_record_is_there(
        self, backend: AnyBackend, clock: ManualClock
    ) -> None:
        await save(backend, {}, ttl_seconds=10)
        clock.advance(9.999999)
        assert await backend.get(1) == {"id": 1}

    async def test_a_replacement_without_one_ends_it(
        self, backend: AnyBackend, clock: ManualClock
    ) -> None:
        await save(backend, {"id": 1}, ttl_seconds=10)
        assert (await save(backend, {"id": 1})).record.expires_at is None
        clock.advance(11)
        assert await backend.get(1) == {"id": 1}

    async def test_a_replacement_with_one_starts_anew(
        self, backend: AnyBackend, clock: ManualClock
    ) -> None:
        await save(backend, {"id": 1}, ttl_seconds=10)
        clock.advance(9)
        await save(backend, {"id": 1}, ttl_seconds=10)
        clock.advance(9)
        assert await backend.get(1) == {"id": 1}

    async def test_an_update_keeps_it(self, backend: AnyBackend, clock: ManualClock) -> None:
        expires_at = (await save(backend, {"id": 1}, ttl_seconds=10)).record.expires_at
        clock.advance(5)
        assert (await update(backend, 1, {"a": 1})).record.expires_at == expires_at

    async def test_delete_tells_it_as_it_was(self, backend: AnyBackend) -> None:
        saved = await save(backend, {"id": 1}, ttl_seconds=10)
        assert (await delete(backend, 1)).record.expires_at == saved.record.expires_at

    async def test_a_record_made_again_has_none_of_the_old(self, backend: AnyBackend) -> None:
        await save(backend, {"id": 1}, ttl_seconds=10)
        await delete(backend, 1)
        assert (await save(backend, {"id": 1})).record.expires_at is None


@pytest.mark.asyncio(loop_scope="session")
class TestAnExpiredRecord:
    @pytest_asyncio.fixture(loop_scope="session")
    async def expired(self, backend: AnyBackend, clock: ManualClock) -> AnyBackend:
        """Record 1 has expired and was not swept; record 2 lives on."""
        await save(backend, {"id": 1, "title": "old"}, ttl_seconds=10)
        await save(backend, {"id": 2, "title": "new"})
        clock.advance(11)
        return backend

    async def test_get_does_not_find_it(self, expired: AnyBackend) -> None:
        assert type((await failure(expired, Get(1))).error) is TaskNotFoundError

    async def test_update_does_not_find_it(self, expired: AnyBackend) -> None:
        assert type((await failure(expired, Update(1, {"a": 1}))).error) is TaskNotFoundError

    async def test_delete_does_not_find_it(self, expired: AnyBackend) -> None:
        assert type((await failure(expired, Delete(1))).error) is TaskNotFoundError

    async def test_lists_leave_it_out(self, expired: AnyBackend) -> None:
        assert await expired.list_all() == [{"id": 2, "title": "new"}]

    async def test_queries_leave_it_out(self, expired: AnyBackend) -> None:
        assert await expired.query({"title": {"$exists": True}}) == [{"id": 2, "title": "new"}]

    async def test_sorted_queries_leave_it_out(self, expired: AnyBackend) -> None:
        page = await find(expired, finding(sort=[["title", "desc"]]))
        assert ids_of(page) == [2]

    async def test_counts_leave_it_out(self, expired: AnyBackend) -> None:
        assert await expired.count() == 1
        assert await expired.count({"title": "old"}) == 0

    async def test_a_collection_of_expired_records_is_not_listed(
        self, backend: AnyBackend, clock: ManualClock
    ) -> None:
        await save(backend, {}, collection="gone", ttl_seconds=10)
        await save(backend, {}, collection="here")
        clock.advance(11)
        listed = expect(CollectionCounts, await perform(backend, Collections()))
        assert listed.counts == (("here", 1),)

    async def test_a_page_is_full_in_spite_of_it(
        self, backend: AnyBackend, clock: ManualClock
    ) -> None:
        for number in range(1, 11):
            await save(backend, {"id": number}, ttl_seconds=None if number % 2 else 10)
        clock.advance(11)
        assert ids_of(await find(backend, finding(limit=3))) == [1, 3, 5]

    async def test_saving_under_its_id_makes_a_new_record(
        self, expired: AnyBackend, clock: ManualClock
    ) -> None:
        saved = await save(expired, {"id": 1, "title": "again"})
        assert (saved.created, saved.record.version) == (True, 2)
        assert saved.record.created_at == clock.now

    async def test_paging_goes_on_behind_it(self, backend: AnyBackend, clock: ManualClock) -> None:
        for number in range(1, 7):
            await save(backend, {"id": number}, ttl_seconds=10 if number == 2 else None)
        first = await find(backend, finding(limit=2))
        clock.advance(11)
        rest = await all_pages(
            backend, lambda cursor: finding(limit=2, cursor=cursor or first.next_cursor)
        )
        assert [document["id"] for document in documents_of(*rest)] == [3, 4, 5, 6]


@pytest.mark.asyncio(loop_scope="session")
class TestSweep:
    async def test_it_tells_how_many_it_removed(
        self, backend: AnyBackend, clock: ManualClock
    ) -> None:
        await save(backend, {}, ttl_seconds=1)
        await save(backend, {}, ttl_seconds=1)
        await save(backend, {})
        clock.advance(2)
        assert await backend.sweep() == 2

    async def test_a_second_one_finds_nothing(
        self, backend: AnyBackend, clock: ManualClock
    ) -> None:
        await save(backend, {}, ttl_seconds=1)
        clock.advance(2)
        await backend.sweep()
        assert await backend.sweep() == 0

    async def test_it_leaves_the_living(self, backend: AnyBackend, clock: ManualClock) -> None:
        await save(backend, {"id": 1}, ttl_seconds=10)
        await save(backend, {"id": 2}, ttl_seconds=1)
        await save(backend, {"id": 3})
        clock.advance(2)
        await backend.sweep()
        assert await backend.list_all() == [{"id": 1}, {"id": 3}]

    async def test_on_an_empty_store_it_does_nothing(self, backend: AnyBackend) -> None:
        assert await backend.sweep() == 0

    async def test_it_leaves_what_was_made_again(
        self, backend: AnyBackend, clock: ManualClock
    ) -> None:
        await save(backend, {"id": 1}, ttl_seconds=1)
        clock.advance(2)
        await save(backend, {"id": 1, "again": True})
        await backend.sweep()
        assert await backend.get(1) == {"id": 1, "again": True}

    async def test_it_never_takes_what_is_made_again_meanwhile(
        self, backend: AnyBackend, clock: ManualClock
    ) -> None:
        for number in range(1, 21):
            await save(backend, {"id": number}, ttl_seconds=1)
        clock.advance(2)
        again: list[JsonObject] = [{"id": number, "again": True} for number in range(1, 21)]
        await asyncio.gather(
            backend.sweep(), *(save(backend, document) for document in again), backend.sweep()
        )
        assert await backend.list_all() == again
        assert {(await get(backend, number)).record.version for number in range(1, 21)} == {2}

    async def test_it_removes_a_bounded_amount_until_nothing_is_left(
        self, backend: AnyBackend, clock: ManualClock
    ) -> None:
        await backend.execute([Save({}, ttl_seconds=1) for _ in range(2_500)])
        clock.advance(2)
        removed = 0
        while swept := await backend.sweep():
            removed += swept
        assert removed == 2_500

    async def test_it_reaches_every_collection(
        self, backend: AnyBackend, clock: ManualClock
    ) -> None:
        for collection in ("tasks", "users", "projects"):
            await save(backend, {}, collection=collection, ttl_seconds=1)
        clock.advance(2)
        assert await backend.sweep() == 3
