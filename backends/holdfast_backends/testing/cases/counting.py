"""Count and Collections: how many records there are, and where."""

import pytest

from holdfast_backends.operations import Collections
from holdfast_backends.outcomes import CollectionCounts
from holdfast_backends.testing.harness import (
    AnyBackend,
    ManualClock,
    delete,
    expect,
    perform,
    save,
    save_all,
)


async def collections(backend: AnyBackend) -> list[tuple[str, int]]:
    """The collections with their counts, as they are listed."""
    return [*expect(CollectionCounts, await perform(backend, Collections())).counts]


@pytest.mark.asyncio(loop_scope="session")
class TestCount:
    async def test_an_empty_collection_has_none(self, backend: AnyBackend) -> None:
        assert await backend.count() == 0

    async def test_it_counts_all_records(self, backend: AnyBackend) -> None:
        await save_all(backend, [{}, {"id": "a"}, {"id": 99}])
        assert await backend.count() == 3

    async def test_an_empty_filter_counts_all(self, backend: AnyBackend) -> None:
        await save_all(backend, [{}, {}])
        assert await backend.count({}) == 2

    async def test_it_counts_what_matches(self, backend: AnyBackend) -> None:
        await save_all(backend, [{"done": number % 3 == 0} for number in range(10)])
        assert await backend.count({"done": True}) == 4

    async def test_a_replaced_record_counts_once(self, backend: AnyBackend) -> None:
        await save_all(backend, [{"id": 1}, {"id": 1}, {"id": 1}])
        assert await backend.count() == 1

    async def test_a_deleted_record_does_not_count(self, backend: AnyBackend) -> None:
        await save_all(backend, [{}, {}])
        await delete(backend, 1)
        assert await backend.count() == 1

    async def test_other_collections_do_not_count(self, backend: AnyBackend) -> None:
        await save(backend, {}, collection="users")
        assert await backend.count() == 0


@pytest.mark.asyncio(loop_scope="session")
class TestCollections:
    async def test_an_empty_store_has_none(self, backend: AnyBackend) -> None:
        assert await collections(backend) == []

    async def test_each_is_listed_with_its_count(self, backend: AnyBackend) -> None:
        await save_all(backend, [{}, {}])
        await save(backend, {}, collection="users")
        assert await collections(backend) == [("tasks", 2), ("users", 1)]

    async def test_they_are_listed_by_name(self, backend: AnyBackend) -> None:
        for name in ["b", "a-b", "ab", "a_b", "a0", "a", "z"]:
            await save(backend, {}, collection=name)
        names = [name for name, _count in await collections(backend)]
        assert names == ["a", "a-b", "a0", "a_b", "ab", "b", "z"]

    async def test_one_without_records_is_not_listed(self, backend: AnyBackend) -> None:
        await save(backend, {}, collection="users")
        await delete(backend, 1, collection="users")
        assert await collections(backend) == []

    async def test_one_that_was_only_asked_is_not_listed(self, backend: AnyBackend) -> None:
        await backend.list_all(collection="users")
        await backend.count(collection="users")
        assert await collections(backend) == []

    async def test_deleted_records_do_not_count(self, backend: AnyBackend) -> None:
        await save_all(backend, [{}, {}, {}])
        await delete(backend, 2)
        assert await collections(backend) == [("tasks", 2)]

    async def test_expired_records_do_not_count(
        self, backend: AnyBackend, clock: ManualClock
    ) -> None:
        await save(backend, {})
        await save(backend, {}, ttl_seconds=1)
        clock.advance(2)
        assert await collections(backend) == [("tasks", 1)]
