"""Reading the outbox: in order and without gaps, from any place that is still kept."""

import asyncio

import pytest

from holdfast_backends.operations import Delete, Get, Save, Transaction, Update
from holdfast_backends.outcomes import Saved
from holdfast_backends.testing.harness import (
    AnyBackend,
    delete,
    expect,
    perform,
    save,
    save_all,
    transact,
    update,
)
from holdfast_backends.testing.telling import is_gapless, page, sequences, told
from holdfast_backends.values import JsonObject

PATIENCE = 30.0  # seconds: a bound for what must happen, never a pause


@pytest.mark.asyncio(loop_scope="session")
class TestTheOrderOfEvents:
    async def test_it_is_that_of_the_operations_of_a_call(self, backend: AnyBackend) -> None:
        await backend.execute([Save({"id": 1}), *(Update(1, {"n": n}) for n in range(200))])
        events = await told(backend)
        assert is_gapless(event.sequence for event in events)
        assert [event.document.get("n") for event in events] == [None, *range(200)]

    async def test_collections_count_for_themselves(self, backend: AnyBackend) -> None:
        names = ["a", "b", "c"]
        await backend.execute([Save({}, names[n % 3]) for n in range(30)])
        await transact(backend, Save({}, "b"), Save({}, "a"), Save({}, "b"))
        assert dict(await backend.outbox.positions()) == {"a": 11, "b": 12, "c": 10}
        for name in names:
            assert is_gapless(sequences(await page(backend, name)))

    async def test_calls_at_once_leave_no_gap(self, backend: AnyBackend) -> None:
        names = ["a", "b", "c", "d"]
        batches = await asyncio.gather(
            *(
                backend.execute([Save({"n": n}, names[(n + k) % 4])] * 5)
                for n in range(20)
                for k in (0, 1)
            )
        )
        for name in names:
            events = await told(backend, name)
            assert is_gapless(event.sequence for event in events)
            saved = [
                expect(Saved, outcome)
                for (n, k), batch in zip(
                    ((n, k) for n in range(20) for k in (0, 1)), batches, strict=True
                )
                if names[(n + k) % 4] == name
                for outcome in batch
            ]
            answered = {outcome.sequence: outcome.record.id for outcome in saved}
            assert answered == {event.sequence: event.id for event in events}

    async def test_changes_of_a_record_at_once_are_told_in_the_order_of_its_versions(
        self, backend: AnyBackend
    ) -> None:
        await save(backend, {"id": 1, "n": 0})
        await asyncio.gather(*(backend.update(1, increment={"n": 1}) for _ in range(50)))
        events = await told(backend)
        assert [event.version for event in events] == list(range(1, 52))
        assert [event.document["n"] for event in events] == list(range(51))

    async def test_failures_and_undone_transactions_at_once_leave_no_gap(
        self, backend: AnyBackend
    ) -> None:
        undone = Transaction((Save({}), Save({}), Get(9_999)))
        await asyncio.gather(
            *(
                perform(backend, (Save({}), undone, Delete(9_999))[number % 3])
                for number in range(60)
            )
        )
        events = await told(backend)
        assert is_gapless(event.sequence for event in events)
        assert [event.id for event in events] == list(range(1, 21))

    async def test_whoever_reads_meanwhile_sees_a_beginning_of_them(
        self, backend: AnyBackend
    ) -> None:
        writing = asyncio.gather(*(save_all(backend, [{}] * 3) for _ in range(30)))
        seen = 0
        async with asyncio.timeout(PATIENCE):
            while seen < 90:
                await asyncio.sleep(0)  # a store in memory never waits
                found = sequences(await page(backend, after=seen))
                assert found == list(range(seen + 1, seen + 1 + len(found)))
                seen += len(found)
        await writing


@pytest.mark.asyncio(loop_scope="session")
class TestReadingEvents:
    async def test_of_a_collection_that_never_changed(self, backend: AnyBackend) -> None:
        found = await page(backend, "nothing")
        assert (list(found.events), found.first_sequence, found.last_sequence) == ([], 1, 0)

    async def test_after_a_sequence(self, backend: AnyBackend) -> None:
        await save_all(backend, [{}] * 5)
        assert sequences(await page(backend, after=3)) == [4, 5]
        assert sequences(await page(backend, after=5)) == []
        assert sequences(await page(backend, after=50)) == []

    async def test_at_most_so_many(self, backend: AnyBackend) -> None:
        await save_all(backend, [{}] * 5)
        found = await page(backend, after=1, limit=2)
        assert sequences(found) == [2, 3]
        assert (found.first_sequence, found.last_sequence) == (1, 5)

    async def test_at_most_a_thousand(self, backend: AnyBackend) -> None:
        await save_all(backend, [{}] * 1_100)
        assert len((await page(backend, limit=1_000)).events) == 1_000
        assert sequences(await page(backend, after=1_000, limit=1_000)) == list(range(1_001, 1_101))

    @pytest.mark.parametrize("max_bytes", [0, 1, 500, 1_000, 5_000, 100_000])
    async def test_at_most_so_many_bytes_but_at_least_one(
        self, backend: AnyBackend, max_bytes: int
    ) -> None:
        documents: list[JsonObject] = [{"text": "x" * (n * 37 % 400)} for n in range(100)]
        await save_all(backend, documents)
        seen, most = 0, 0
        while seen < 100:
            found = await page(backend, after=seen, max_bytes=max_bytes)
            assert sequences(found) == list(range(seen + 1, seen + 1 + len(found.events)))
            size = sum(len(event.document) for event in found.events)
            assert size <= max_bytes or len(found.events) == 1
            seen += len(found.events)
            most = max(most, len(found.events))
        assert most > 1 or max_bytes < 500

    async def test_positions_are_told_by_name(self, backend: AnyBackend) -> None:
        assert list(await backend.outbox.positions()) == []
        for name in ("b", "a", "c", "a"):
            await save(backend, {}, collection=name)
        assert list((await backend.outbox.positions()).items()) == [("a", 2), ("b", 1), ("c", 1)]

    async def test_a_position_outlives_its_records(self, backend: AnyBackend) -> None:
        await save(backend, {"id": 1})
        await delete(backend, 1)
        assert dict(await backend.outbox.positions()) == {"tasks": 2}

    async def test_changes_are_noticed(self, backend: AnyBackend) -> None:
        async with asyncio.timeout(PATIENCE):
            waiting = asyncio.ensure_future(backend.outbox.changed())
            await save(backend, {})
            await waiting


@pytest.mark.asyncio(loop_scope="session")
class TestPublishing:
    async def test_what_was_never_published_is_from_the_beginning(
        self, backend: AnyBackend
    ) -> None:
        assert dict(await backend.outbox.unpublished()) == {}
        await save(backend, {})
        await save(backend, {}, collection="users")
        assert dict(await backend.outbox.unpublished()) == {"tasks": 0, "users": 0}

    async def test_a_mark_tells_how_far(self, backend: AnyBackend) -> None:
        await save_all(backend, [{}] * 3)
        await backend.outbox.mark_published({"tasks": 2})
        assert dict(await backend.outbox.unpublished()) == {"tasks": 2}

    async def test_what_is_published_to_its_end_is_not_named(self, backend: AnyBackend) -> None:
        await save_all(backend, [{}] * 3)
        await backend.outbox.mark_published({"tasks": 3})
        assert dict(await backend.outbox.unpublished()) == {}
        await update(backend, 1, {"a": 1})
        assert dict(await backend.outbox.unpublished()) == {"tasks": 3}

    async def test_a_mark_never_falls(self, backend: AnyBackend) -> None:
        await save_all(backend, [{}] * 4)
        await backend.outbox.mark_published({"tasks": 3})
        await backend.outbox.mark_published({"tasks": 1})
        assert dict(await backend.outbox.unpublished()) == {"tasks": 3}

    async def test_marks_of_several_collections(self, backend: AnyBackend) -> None:
        for name in ("a", "b", "c"):
            await save_all(backend, [{}] * 2, collection=name)
        await backend.outbox.mark_published({"c": 2, "a": 1})
        await backend.outbox.mark_published({})
        assert dict(await backend.outbox.unpublished()) == {"a": 1, "b": 0}

    async def test_published_events_can_still_be_read(self, backend: AnyBackend) -> None:
        await save_all(backend, [{}] * 3)
        await backend.outbox.mark_published({"tasks": 3})
        assert sequences(await page(backend)) == [1, 2, 3]
