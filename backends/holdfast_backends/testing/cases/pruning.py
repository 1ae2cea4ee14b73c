"""How long events are kept, and what is said of those that are not."""

import pytest

from holdfast_backends.errors import EventsPrunedError
from holdfast_backends.testing.harness import (
    DAY_SECONDS,
    AnyBackend,
    ManualClock,
    save,
    save_all,
)
from holdfast_backends.testing.telling import page, sequences


@pytest.mark.asyncio(loop_scope="session")
class TestPruning:
    """Events are kept a day by default, and up to ten days until they are published."""

    async def _sweep(self, backend: AnyBackend) -> int:
        removed = 0
        while swept := await backend.sweep():
            removed += swept
        return removed

    async def test_what_is_published_and_old_is_pruned(
        self, backend: AnyBackend, clock: ManualClock
    ) -> None:
        await save_all(backend, [{}] * 3)
        await backend.outbox.mark_published({"tasks": 3})
        clock.advance(DAY_SECONDS + 1)
        assert await self._sweep(backend) == 3
        found = await page(backend, after=3)
        assert (list(found.events), found.first_sequence, found.last_sequence) == ([], 4, 3)

    async def test_what_is_young_stays(self, backend: AnyBackend, clock: ManualClock) -> None:
        await save_all(backend, [{}] * 3)
        clock.advance(DAY_SECONDS - 10)
        await save_all(backend, [{}] * 2)
        await backend.outbox.mark_published({"tasks": 5})
        assert await self._sweep(backend) == 0
        clock.advance(11)
        assert await self._sweep(backend) == 3
        assert sequences(await page(backend, after=3)) == [4, 5]

    async def test_what_is_not_published_stays(
        self, backend: AnyBackend, clock: ManualClock
    ) -> None:
        await save_all(backend, [{}] * 3)
        clock.advance(10 * DAY_SECONDS)
        assert await self._sweep(backend) == 0
        await backend.outbox.mark_published({"tasks": 1})
        assert await self._sweep(backend) == 1
        assert sequences(await page(backend, after=1)) == [2, 3]

    async def test_what_nobody_publishes_is_not_kept_for_ever(
        self, backend: AnyBackend, clock: ManualClock
    ) -> None:
        await save_all(backend, [{}] * 3)
        clock.advance(1)
        await save_all(backend, [{}] * 2)
        clock.advance(10 * DAY_SECONDS)
        assert await self._sweep(backend) == 3
        assert sequences(await page(backend, after=3)) == [4, 5]

    async def test_whoever_asks_for_pruned_events_is_told_where_to_begin(
        self, backend: AnyBackend, clock: ManualClock
    ) -> None:
        await save_all(backend, [{}] * 3)
        await backend.outbox.mark_published({"tasks": 2})
        clock.advance(DAY_SECONDS + 1)
        await self._sweep(backend)
        with pytest.raises(EventsPrunedError) as caught:
            await page(backend, after=1)
        assert caught.value.first_sequence == 3
        assert caught.value.details == {"first_sequence": 3}
        assert "after 2" in caught.value.message
        found = await page(backend, after=2)
        assert (sequences(found), found.first_sequence, found.last_sequence) == ([3], 3, 3)

    async def test_when_all_are_pruned_one_begins_after_the_last(
        self, backend: AnyBackend, clock: ManualClock
    ) -> None:
        await save_all(backend, [{}] * 3)
        await backend.outbox.mark_published({"tasks": 3})
        clock.advance(DAY_SECONDS + 1)
        await self._sweep(backend)
        with pytest.raises(EventsPrunedError) as caught:
            await page(backend)
        assert caught.value.first_sequence == 4
        assert sequences(await page(backend, after=3)) == []

    async def test_sequences_go_on_behind_what_was_pruned(
        self, backend: AnyBackend, clock: ManualClock
    ) -> None:
        await save_all(backend, [{}] * 3)
        await backend.outbox.mark_published({"tasks": 3})
        clock.advance(DAY_SECONDS + 1)
        await self._sweep(backend)
        assert (await save(backend, {})).sequence == 4
        assert sequences(await page(backend, after=3)) == [4]
        assert dict(await backend.outbox.positions()) == {"tasks": 4}

    async def test_each_collection_for_itself(
        self, backend: AnyBackend, clock: ManualClock
    ) -> None:
        for name in ("a", "b", "c"):
            await save_all(backend, [{}] * 2, collection=name)
        await backend.outbox.mark_published({"a": 2, "b": 1})
        clock.advance(DAY_SECONDS + 1)
        assert await self._sweep(backend) == 3
        firsts = [(await page(backend, name, after=2)).first_sequence for name in "abc"]
        assert firsts == [3, 2, 1]

    async def test_many_go_a_bounded_amount_at_a_time(
        self, backend: AnyBackend, clock: ManualClock
    ) -> None:
        await save_all(backend, [{}] * 2_500)
        await backend.outbox.mark_published({"tasks": 2_400})
        clock.advance(DAY_SECONDS + 1)
        assert 0 < await backend.sweep() < 2_400
        await self._sweep(backend)
        assert (await page(backend, after=2_400)).first_sequence == 2_401
