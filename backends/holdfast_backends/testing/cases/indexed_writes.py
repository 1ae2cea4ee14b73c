"""Writes to indexed collections: an index follows every one, also while it is built."""

import asyncio

import pytest
import pytest_asyncio

from holdfast_backends.operations import Delete, Operation, Save, Update
from holdfast_backends.testing.cases.indexes import declare, until_ready
from holdfast_backends.testing.harness import (
    AnyBackend,
    ManualClock,
    delete,
    find,
    finding,
    ids_of,
    perform,
    save,
    save_all,
    update,
)
from holdfast_backends.values import RecordId


@pytest.mark.asyncio(loop_scope="session")
class TestWritesToIndexedCollections:
    @pytest_asyncio.fixture(loop_scope="session")
    async def indexed(self, backend: AnyBackend) -> AnyBackend:
        """A backend with an index on `v` and records 1 to 9 with that value there."""
        await declare(backend, ["v"])
        await until_ready(backend)
        await save_all(backend, [{"v": number} for number in range(1, 10)])
        return backend

    async def _above(self, backend: AnyBackend, value: int) -> list[RecordId]:
        operation = finding({"v": {"$gt": value}}, sort=[["v", "asc"]], limit=100)
        return ids_of(await find(backend, operation))

    async def test_a_new_record_is_found(self, indexed: AnyBackend) -> None:
        await save(indexed, {"v": 7.5})
        assert await self._above(indexed, 7) == [10, 8, 9]

    async def test_a_replaced_record_is_found_where_it_is_now(self, indexed: AnyBackend) -> None:
        await save(indexed, {"id": 9, "v": 1})
        assert await self._above(indexed, 7) == [8]

    async def test_an_updated_record_is_found_where_it_is_now(self, indexed: AnyBackend) -> None:
        await update(indexed, 1, increment={"v": 7.5})
        assert await self._above(indexed, 7) == [8, 1, 9]

    async def test_a_record_whose_value_is_gone_is_found_among_the_nulls(
        self, indexed: AnyBackend
    ) -> None:
        await update(indexed, 5, {"v": None})
        assert ids_of(await find(indexed, finding({"v": None}))) == [5]

    async def test_a_deleted_record_is_not_found(self, indexed: AnyBackend) -> None:
        await delete(indexed, 9)
        assert await self._above(indexed, 7) == [8]

    async def test_a_record_made_again_is_found_once(self, indexed: AnyBackend) -> None:
        await delete(indexed, 9)
        await save(indexed, {"id": 9, "v": 8.5})
        assert await self._above(indexed, 7) == [8, 9]

    async def test_an_expired_record_is_not_found(
        self, indexed: AnyBackend, clock: ManualClock
    ) -> None:
        await save(indexed, {"id": 9, "v": 9}, ttl_seconds=1)
        clock.advance(2)
        assert await self._above(indexed, 7) == [8]

    async def test_a_swept_record_is_not_found(
        self, indexed: AnyBackend, clock: ManualClock
    ) -> None:
        await save(indexed, {"id": 9, "v": 9}, ttl_seconds=1)
        clock.advance(2)
        await indexed.sweep()
        assert await self._above(indexed, 7) == [8]

    async def test_a_failed_write_leaves_it(self, indexed: AnyBackend) -> None:
        await perform(indexed, Save({"id": 9, "v": 1}, if_version=7))
        assert await self._above(indexed, 7) == [8, 9]

    async def test_what_was_written_without_it_is_found_when_it_is_back(
        self, indexed: AnyBackend
    ) -> None:
        await declare(indexed, [])
        await update(indexed, 1, {"v": 100})
        await delete(indexed, 9)
        await save(indexed, {"v": 50})
        await declare(indexed, ["v"])
        await until_ready(indexed)
        assert await self._above(indexed, 0) == [2, 3, 4, 5, 6, 7, 8, 10, 1]

    async def test_another_path_in_its_place_finds_nothing_of_the_old(
        self, indexed: AnyBackend
    ) -> None:
        await update(indexed, 1, {"w": 100})
        await declare(indexed, ["w"])
        await until_ready(indexed)
        operation = finding({"w": {"$gt": 0}}, sort=[["w", "asc"]], limit=100)
        assert ids_of(await find(indexed, operation)) == [1]

    async def test_writes_at_the_same_time_as_the_build_are_found(
        self, backend: AnyBackend
    ) -> None:
        await save_all(backend, [{"v": number} for number in range(1_000)])
        await asyncio.gather(
            declare(backend, ["v"]),
            *(update(backend, number, {"v": 5_000 + number}) for number in range(1, 1_000, 50)),
            *(delete(backend, number) for number in range(2, 1_000, 50)),
            until_ready(backend),
            *(save(backend, {"id": 2_000 + number, "v": 9_000}) for number in range(20)),
        )
        await until_ready(backend)
        moved = [*range(1, 1_000, 50), *range(2_000, 2_020)]
        assert await self._above(backend, 4_000) == moved
        assert await backend.count({"v": {"$gte": 0}}) == 1_000

    async def test_writes_during_the_build_are_found(self, backend: AnyBackend) -> None:
        await save_all(backend, [{"v": number} for number in range(1_500)])
        await declare(backend, ["v"])
        changes: list[Operation] = [
            *(Update(number, {"v": 5_000 + number}) for number in range(1, 1_500, 100)),
            *(Delete(number) for number in range(2, 1_500, 100)),
            *(Save({"v": 9_000 + number}) for number in range(10)),
        ]
        for operation in changes:
            await backend.execute([operation])
        expected = [*range(1, 1_500, 100), *range(1_501, 1_511)]
        assert await self._above(backend, 4_000) == expected
        await until_ready(backend)
        assert await self._above(backend, 4_000) == expected
        assert len(await self._above(backend, -1)) == 100
        assert await backend.count({"v": {"$gte": 0}}) == 1_500 - 15 + 10
