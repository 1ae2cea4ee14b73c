"""Events are committed with the changes they tell of, and stay until they are forgotten."""

import asyncio

import pytest

from holdfast_backends.encoding import integer_key, record_key
from holdfast_backends.store import (
    CREATED,
    DELETED,
    UPDATED,
    Changes,
    CommitConflictError,
    EventRow,
    Head,
    RowChange,
    Store,
    Wanted,
)
from holdfast_backends.values import MAX_INTEGER
from tests.conformance.store_contract.factories import MakeStore
from tests.conformance.store_contract.words import (
    TASKS,
    contents,
    event,
    load,
    outbox,
    persist,
    reply,
    row,
    tell,
)

STRANGE = "ÄΩ-𝄞\u0301\u202e\ufeff %_'\"\\\n\t$1?{}"
EVERY_BYTE = bytes(range(256))
DEADLINE = 30.0


def a_change() -> Changes:
    """A new record with its event, its reply and its head."""
    changes = Changes(heads={TASKS: Head(2, sequence=1)})
    changes.rows[TASKS, integer_key(1)] = RowChange(None, row(1, {}))
    changes.replies["me", "m"] = reply("m")
    changes.events[TASKS] = [event(1, "m")]
    return changes


# -- what is committed -------------------------------------------------------------------------


async def test_a_store_that_holds_nothing_has_no_events(store: Store) -> None:
    assert list(await store.events(TASKS, 0, 10)) == []
    assert await store.unpublished() == {}
    assert await store.forget_events(TASKS, 10, 10) == 0


async def test_events_appear_with_the_unit_that_made_them(store: Store) -> None:
    async with store.write([TASKS]) as unit:
        await unit.load(Wanted([TASKS], [(TASKS, integer_key(1))], [("me", "m")]))
        await unit.commit(a_change())
    assert await outbox(store) == [event(1, "m")]
    assert await contents(store) == [row(1, {})]


async def test_a_unit_without_a_commit_leaves_no_event(store: Store) -> None:
    async with store.write([TASKS]) as unit:
        await unit.load(Wanted([TASKS], [], []))
        a_change()
    assert await outbox(store) == []


async def test_a_commit_in_conflict_leaves_no_event(pair: tuple[Store, Store]) -> None:
    one, other = pair
    async with other.write([]) as unit:
        await unit.commit(Changes(replies={("me", "m"): reply("first")}))
    with pytest.raises(CommitConflictError):
        async with one.write([TASKS]) as unit:
            await unit.commit(a_change())
    assert await outbox(other) == []
    assert await other.heads() == {}


@pytest.mark.parametrize(
    "kept",
    [
        EventRow(1, CREATED, integer_key(1), 1, b'{"id":1}', 0),
        EventRow(1, UPDATED, record_key("x" * 255), MAX_INTEGER, b"{}", MAX_INTEGER, "me", "m"),
        EventRow(1, DELETED, record_key(STRANGE), 2, EVERY_BYTE, 5, STRANGE, STRANGE),
        EventRow(1, DELETED, EVERY_BYTE, 2, b"", 5, None, "m"),
        EventRow(1, UPDATED, b"k", 2, b"\x00", 5, "me", None),
        EventRow(1, UPDATED, b"k", 2, b"\xff" * 1_048_576, 5, "𝄞" * 128, "𝄞" * 128),
        EventRow(2**53 - 1, UPDATED, b"k", 2, b"{}", 5),
    ],
    ids=["least", "most", "strange", "no sender", "no message", "long", "the last sequence"],
)
async def test_an_event_comes_back_as_it_was(store: Store, kept: EventRow) -> None:
    await tell(store, kept)
    assert await outbox(store) == [kept]
    assert list(await store.events(TASKS, kept.sequence - 1, 1)) == [kept]
    assert list(await store.events(TASKS, kept.sequence, 1)) == []


async def test_events_of_many_senders_do_not_mix(store: Store) -> None:
    """More than any store takes in one part, alike and different in all columns."""
    events = {
        name: [
            EventRow(
                number,
                1 + number % 3,
                integer_key(number // 2 + 1),
                number % 5 + 1,
                b"%d" % (number % 4),
                number // 7,
                None if number % 3 == at else f"sender {number % 2}",
                None if number % 4 == at else f"id {number}",
            )
            for number in range(1, 1_501)
        ]
        for at, name in enumerate(("a", "b"))
    }
    events["c"] = [EventRow(number, CREATED, b"k", 1, b"{}", 1) for number in range(1, 5)]
    heads = {name: Head(sequence=rows[-1].sequence) for name, rows in events.items()}
    async with store.write(["a", "b", "c"]) as unit:
        await unit.commit(Changes(heads=heads, events=events))
    for name, rows in events.items():
        assert await outbox(store, name) == rows
    assert await store.heads() == heads


async def test_events_of_several_units_stand_behind_each_other(store: Store) -> None:
    events = [event(number, str(number)) for number in range(1, 8)]
    await tell(store, *events[:3])
    await tell(store, event(1), collection="notes")
    await tell(store, events[3])
    await tell(store, *events[4:])
    assert await outbox(store) == events
    assert await outbox(store, "notes") == [event(1)]


async def test_events_are_there_when_opened_again(make_shared_store: MakeStore) -> None:
    async with make_shared_store() as store:
        await tell(store, event(1), event(2))
        await store.mark_published({TASKS: 1})
    async with make_shared_store() as store:
        assert await outbox(store) == [event(1), event(2)]
        assert await store.unpublished() == {TASKS: 1}


# -- reading -----------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [0, 1, 9, 10, 299, 300, 10**9, MAX_INTEGER])
@pytest.mark.parametrize("limit", [1, 2, 100, 1_000])
async def test_reading_begins_behind_a_sequence_and_is_bounded(
    store: Store, after: int, limit: int
) -> None:
    events = [event(number) for number in range(1, 301)]
    await tell(store, *events)
    await tell(store, event(500), collection="notes")
    assert list(await store.events(TASKS, after, limit)) == events[after : after + limit]


async def test_a_sequence_without_an_event_is_passed_over(make_shared_store: MakeStore) -> None:
    """As after a time in which events were not kept."""
    async with make_shared_store() as store:
        await tell(store, event(1), event(2))
        await tell(store, event(10), event(300))
        assert list(await store.events(TASKS, 1, 10)) == [event(2), event(10), event(300)]
        assert list(await store.events(TASKS, 5, 10)) == [event(10), event(300)]
        assert await store.forget_events(TASKS, 9, 10) == 2
        assert await outbox(store) == [event(10), event(300)]


# -- several at once ---------------------------------------------------------------------------


async def _count_one(store: Store, sender: str) -> None:
    async def attempt() -> None:
        async with store.write([TASKS]) as unit:
            loaded = await unit.load(Wanted([TASKS], [], []))
            head = loaded.heads.get(TASKS, Head())
            reached = head._replace(sequence=head.sequence + 1)
            told = event(reached.sequence, sender=sender)
            await unit.commit(Changes(heads={TASKS: reached}, events={TASKS: [told]}))

    await persist(attempt)


async def test_units_of_two_stores_leave_no_gap(pair: tuple[Store, Store]) -> None:
    async with asyncio.timeout(DEADLINE):
        counting = [_count_one(store, str(at)) for at, store in enumerate(pair * 20)]
        await asyncio.gather(*counting)
    found = await outbox(pair[0])
    assert [told.sequence for told in found] == list(range(1, 41))
    assert {told.sender for told in found} == {str(number) for number in range(40)}
    assert (await load(pair[1], Wanted([TASKS], [], []))).heads == {TASKS: Head(sequence=40)}


async def test_whoever_reads_meanwhile_sees_no_gap(pair: tuple[Store, Store]) -> None:
    one, other = pair
    seen: list[int] = []

    async def follow() -> None:
        while len(seen) < 30:
            found = await other.events(TASKS, len(seen), 10)
            seen.extend(told.sequence for told in found)
            assert seen == list(range(1, len(seen) + 1))
            await asyncio.sleep(0)

    async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as group:
        group.create_task(follow())
        for number in range(30):
            group.create_task(_count_one(pair[number % 2], str(number)))
    assert len(await outbox(one)) == 30


async def test_what_was_committed_is_seen_at_once(pair: tuple[Store, Store]) -> None:
    one, other = pair
    for number in range(1, 20):
        await tell(one, event(number))
        assert list(await other.events(TASKS, number - 1, 5)) == [event(number)]
        assert await other.unpublished() == {TASKS: number - 1}
        await one.mark_published({TASKS: number})
        assert await other.unpublished() == {}
