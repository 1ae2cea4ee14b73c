"""How far events are published, and which are forgotten, in every store."""

import asyncio
import functools

import pytest

from holdfast_backends.store import Changes, Head, Store, Wanted
from tests.conformance.store_contract.words import TASKS, event, outbox, persist, tell

DEADLINE = 30.0


# -- publishing --------------------------------------------------------------------------------


async def test_a_collection_is_unpublished_until_its_mark_is_reached(store: Store) -> None:
    await tell(store, event(1), event(2))
    await tell(store, event(7), collection="notes")
    assert await store.unpublished() == {TASKS: 0, "notes": 0}
    await store.mark_published({TASKS: 1, "notes": 7})
    assert await store.unpublished() == {TASKS: 1}
    await store.mark_published({TASKS: 2})
    assert await store.unpublished() == {}
    await tell(store, event(3))
    assert await store.unpublished() == {TASKS: 2}


async def test_a_mark_is_never_lowered(store: Store) -> None:
    await tell(store, *(event(number) for number in range(1, 12)))
    for mark, stays in ((9, 9), (2, 9), (9, 9), (10, 10), (0, 10)):
        await store.mark_published({TASKS: mark})
        assert await store.unpublished() == {TASKS: stays}


async def test_marks_up_to_the_last_sequence(store: Store) -> None:
    await tell(store, event(2**53 - 1))
    await store.mark_published({TASKS: 2**53 - 2})
    assert await store.unpublished() == {TASKS: 2**53 - 2}
    await store.mark_published({TASKS: 2**53 - 1})
    assert await store.unpublished() == {}


@pytest.mark.parametrize(
    "make_store",
    [
        pytest.param("postgres", marks=pytest.mark.postgres),
        pytest.param("redis", marks=pytest.mark.redis),
    ],
    indirect=True,
)
async def test_no_mark_passes_the_last_change_where_another_server_may_take_over(
    store: Store,
) -> None:
    """It may have lost what was published, and gives those sequences to other changes."""
    await tell(store, *(event(number) for number in range(1, 12)))
    await store.mark_published({TASKS: 13, "unheard-of": 3})
    assert await store.unpublished() == {}
    await tell(store, event(12), event(13))
    assert await store.unpublished() == {TASKS: 11}


async def test_no_marks_are_no_trouble(store: Store) -> None:
    await store.mark_published({})
    assert await store.unpublished() == {}


async def test_marks_set_at_once_leave_the_highest(pair: tuple[Store, Store]) -> None:
    """In whatever order each names the collections: nobody waits for the other in a circle."""
    names = [f"c{number}" for number in range(500)]
    async with pair[0].write(sorted(names)) as unit:
        await unit.commit(Changes(heads={name: Head(sequence=100) for name in names}))
    marks = [dict.fromkeys(names[:: (-1) ** at], at) for at in range(1, 17)]
    async with asyncio.timeout(DEADLINE):
        marking = [pair[at % 2].mark_published(mark) for at, mark in enumerate(marks)]
        await asyncio.gather(*marking)
    assert await pair[1].unpublished() == dict.fromkeys(names, 16)


async def test_internal_collections_are_never_published(store: Store) -> None:
    heads = {"$locks": Head(sequence=4), "$other": Head(sequence=1), TASKS: Head(sequence=1)}
    async with store.write(sorted(heads)) as unit:
        await unit.commit(Changes(heads=heads))
    assert await store.unpublished() == {TASKS: 0}
    assert await store.heads() == heads


async def test_a_collection_without_changes_is_not_unpublished(store: Store) -> None:
    async with store.write([TASKS]) as unit:
        await unit.commit(Changes(heads={TASKS: Head(5)}))
    assert await store.unpublished() == {}


# -- forgetting --------------------------------------------------------------------------------


async def test_events_are_forgotten_from_the_beginning_and_in_parts(store: Store) -> None:
    events = [event(number) for number in range(1, 11)]
    await tell(store, *events)
    await tell(store, event(1), collection="notes")
    assert await store.forget_events(TASKS, 7, 4) == 4
    assert await outbox(store) == events[4:]
    assert await store.forget_events(TASKS, 7, 4) == 3
    assert await store.forget_events(TASKS, 7, 4) == 0
    assert await outbox(store) == events[7:]
    assert await outbox(store, "notes") == [event(1)]


async def test_forgetting_changes_neither_sequence_nor_mark(store: Store) -> None:
    await tell(store, event(1), event(2), event(3))
    await store.mark_published({TASKS: 2})
    assert await store.forget_events(TASKS, 100, 100) == 3
    assert await store.unpublished() == {TASKS: 2}
    assert await store.heads() == {TASKS: Head(sequence=3)}
    await tell(store, event(4))
    assert await outbox(store) == [event(4)]


async def test_many_events_are_forgotten(store: Store) -> None:
    await tell(store, *(event(number) for number in range(1, 5_001)))
    assert await store.forget_events(TASKS, 4_999, 10_000) == 4_999
    assert await outbox(store) == [event(5_000)]


async def test_two_that_forget_at_once_do_not_disturb_each_other(pair: tuple[Store, Store]) -> None:
    await tell(pair[0], *(event(number) for number in range(1, 401)))
    forget = [functools.partial(store.forget_events, TASKS, 300, 40) for store in pair * 3]
    async with asyncio.timeout(DEADLINE):
        forgotten = await asyncio.gather(*(attempt() for attempt in forget))
    remaining = await pair[0].forget_events(TASKS, 300, 1_000)
    assert sum(forgotten) + remaining == 300
    assert await outbox(pair[1]) == [event(number) for number in range(301, 401)]


async def test_forgetting_and_telling_pass_each_other(pair: tuple[Store, Store]) -> None:
    one, other = pair
    await tell(one, *(event(number) for number in range(1, 101)))
    async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as group:
        for number in range(101, 121):
            group.create_task(_tell_next(one))
            group.create_task(other.forget_events(TASKS, number - 50, 7))
    found = [told.sequence for told in await outbox(other)]
    assert found == list(range(found[0], 121))


async def _tell_next(store: Store) -> None:
    async def attempt() -> None:
        async with store.write([TASKS]) as unit:
            loaded = await unit.load(Wanted([TASKS], [], []))
            told = event(loaded.heads[TASKS].sequence + 1)
            changes = Changes(heads={TASKS: Head(sequence=told.sequence)}, events={TASKS: [told]})
            await unit.commit(changes)

    await persist(attempt)
