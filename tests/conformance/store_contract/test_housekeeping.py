"""Counting, expiry and forgetting, in every store."""

import asyncio

from holdfast_backends.encoding import integer_key
from holdfast_backends.store import Changes, Head, IndexSlot, Store, Wanted
from tests.conformance.store_contract.words import TASKS, answer, keep, load, reply, row


async def test_counts_leave_out_tombstones_and_what_has_expired(store: Store) -> None:
    await keep(
        store, row(1, {}), row(2), row(3, {}, expires_at=10), row(4, {}, expires_at=11), row(5, {})
    )
    await keep(store, row(1), collection="deleted")
    await keep(store, row(1, {}, expires_at=5), collection="gone")
    await keep(store, row(1, {}), collection="notes")
    async with store.read() as snapshot:
        assert await snapshot.count(TASKS, 10) == 3
        assert await snapshot.count(TASKS, 9) == 4
        assert await snapshot.count("deleted", 10) == 0
        assert await snapshot.count("unknown", 10) == 0
        counts = {name: number for name, number in (await snapshot.counts(10)).items() if number}
    assert counts == {TASKS: 3, "notes": 1}


async def test_expired_rows_are_found_with_their_collections(store: Store) -> None:
    rows = [row(number, {"n": number}, expires_at=number) for number in range(1, 6)]
    await keep(store, *rows, row(6), row(7, {}))
    await keep(store, row(1, {}, expires_at=3), collection="notes")
    async with store.read() as snapshot:
        found = await snapshot.expired(3, 100)
        some = await snapshot.expired(3, 2)
        none = await snapshot.expired(0, 100)
    in_order = sorted(found, key=lambda item: (item[0], item[1].key))
    assert in_order == [
        ("notes", row(1, {}, expires_at=3)),
        *((TASKS, kept) for kept in rows[:3]),
    ]
    assert len(some) == 2
    assert all(item in found for item in some)
    assert list(none) == []


async def test_a_row_that_no_longer_expires_is_not_found(store: Store) -> None:
    await keep(store, row(1, {}, expires_at=1), row(2, {}, expires_at=1))
    await keep(store, row(1, {}, version=2), row(2, version=2))
    async with store.read() as snapshot:
        assert list(await snapshot.expired(9, 10)) == []


async def test_replies_are_forgotten_by_age_and_in_parts(store: Store) -> None:
    replies = [(str(number), reply(str(number), at=number)) for number in range(1, 11)]
    await answer(store, *replies)
    assert await store.forget_replies(8, 5) == 5
    assert await store.forget_replies(8, 5) == 2
    assert await store.forget_replies(8, 5) == 0
    loaded = await load(store, Wanted([], [], [("me", name) for name, _reply in replies]))
    assert loaded.replies == {("me", name): kept for name, kept in replies[7:]}


async def test_a_forgotten_identity_can_be_used_again(store: Store) -> None:
    await answer(store, ("1", reply("old", at=1)))
    assert await store.forget_replies(2, 10) == 1
    await answer(store, ("1", reply("new", at=2)))
    loaded = await load(store, Wanted([], [], [("me", "1")]))
    assert loaded.replies == {("me", "1"): reply("new", at=2)}


async def test_two_that_forget_at_once_do_not_disturb_each_other(pair: tuple[Store, Store]) -> None:
    replies = [(str(number), reply(at=number)) for number in range(400)]
    await answer(pair[0], *replies)
    forgotten = await asyncio.gather(*(store.forget_replies(300, 50) for store in pair * 3))
    remaining = await pair[0].forget_replies(300, 1_000)
    assert sum(forgotten) + remaining == 300


async def test_heads_are_those_of_all_collections(store: Store) -> None:
    indexed = Head(3, (IndexSlot(0, ("a",), ready=True), IndexSlot(2, ("b", "c"), ready=False)))
    heads = {TASKS: indexed, "notes": Head(9, sequence=12), "$locks": Head(1, sequence=2)}
    async with store.write(["$locks", "notes", TASKS]) as unit:
        await unit.commit(Changes(heads=heads))
    assert await store.heads() == heads
    async with store.write([TASKS]) as unit:
        await unit.load(Wanted([TASKS], [(TASKS, integer_key(1))], []))
        await unit.commit(Changes(heads={TASKS: Head(3)}))
    assert await store.heads() == {**heads, TASKS: Head(3)}


async def test_a_store_that_holds_nothing_has_no_heads(store: Store) -> None:
    assert await store.heads() == {}
