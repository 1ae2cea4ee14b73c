"""What was committed is loaded again as it was, by every store."""

import pytest

from holdfast_backends.encoding import integer_key, record_key
from holdfast_backends.store import Changes, Head, IndexSlot, Loaded, Row, RowChange, Store, Wanted
from holdfast_backends.values import MAX_INTEGER
from tests.conformance.store_contract.words import TASKS, answer, keep, load, reply, row

STRANGE = "ÄΩ-𝄞\u0301 %_'\"\\\n$1?"


async def test_what_is_not_there_has_no_entry(store: Store) -> None:
    wanted = Wanted([TASKS], [(TASKS, integer_key(1))], [("me", "1")])
    assert await load(store, wanted) == Loaded({}, {}, {})


async def test_nothing_wanted_is_nothing_loaded(store: Store) -> None:
    assert await load(store, Wanted([], [], [])) == Loaded({}, {}, {})


@pytest.mark.parametrize(
    "kept",
    [
        row(1, {"text": "hello"}),
        row(1),
        row(MAX_INTEGER, {"n": 1}),
        row(1, {"n": -0.0}, version=MAX_INTEGER, created_at=0, updated_at=MAX_INTEGER),
        row(1, {"n": 1}, expires_at=5),
        Row(record_key(STRANGE), 1, b'{"id":"x"}', 1, 2, None),
        Row(record_key("x" * 255), 1, b'{"id":"x"}', 1, 2, None),
        row(1, {"text": "x" * 1_000_000}),
    ],
    ids=[
        "a record",
        "a tombstone",
        "the last id",
        "extremes",
        "expiring",
        "strange",
        "long",
        "big",
    ],
)
async def test_a_row_comes_back_as_it_was(store: Store, kept: Row) -> None:
    await keep(store, kept)
    loaded = await load(store, Wanted([], [(TASKS, kept.key)], []))
    assert loaded.rows == {(TASKS, kept.key): kept}


@pytest.mark.parametrize(
    "head",
    [
        Head(2),
        Head(MAX_INTEGER + 1),
        Head(1, (IndexSlot(0, ("owner", "name"), ready=False), IndexSlot(15, (STRANGE,), True))),
        Head(1, sequence=1),
        Head(7, (IndexSlot(0, ("owner",), ready=True),), 2**53 - 1),
    ],
    ids=["counting", "used up", "indexed", "changed", "changed for ever"],
)
async def test_a_head_comes_back_as_it_was(store: Store, head: Head) -> None:
    async with store.write([TASKS]) as unit:
        await unit.commit(Changes(heads={TASKS: head}))
    assert (await load(store, Wanted([TASKS], [], []))).heads == {TASKS: head}


async def test_a_head_is_replaced(store: Store) -> None:
    for head in (Head(2, (IndexSlot(3, ("a",), True),), 8), Head(5, sequence=9)):
        async with store.write([TASKS]) as unit:
            await unit.load(Wanted([TASKS], [], []))
            await unit.commit(Changes(heads={TASKS: head}))
    assert (await load(store, Wanted([TASKS], [], []))).heads == {TASKS: Head(5, sequence=9)}


async def test_a_reply_comes_back_as_it_was(store: Store) -> None:
    kept = reply("done", at=7)
    await answer(store, (STRANGE, kept), sender=STRANGE)
    loaded = await load(store, Wanted([], [], [(STRANGE, STRANGE), ("me", STRANGE)]))
    assert loaded.replies == {(STRANGE, STRANGE): kept}


async def test_identities_do_not_mix(store: Store) -> None:
    await answer(store, ("1", reply("a1")), ("2", reply("a2")), sender="a")
    await answer(store, ("2", reply("b2")), ("3", reply("b3")), sender="b")
    wanted = [("a", "1"), ("b", "2"), ("a", "3"), ("b", "1")]
    loaded = await load(store, Wanted([], [], wanted))
    assert loaded.replies == {("a", "1"): reply("a1"), ("b", "2"): reply("b2")}


async def test_collections_do_not_mix(store: Store) -> None:
    await keep(store, row(1, {"in": "tasks"}))
    await keep(store, row(1, {"in": "notes"}), row(2, {}), collection="notes")
    places = [(TASKS, integer_key(1)), ("notes", integer_key(1)), (TASKS, integer_key(2))]
    loaded = await load(store, Wanted([], places, []))
    assert {place: found.document for place, found in loaded.rows.items()} == {
        places[0]: b'{"id":1,"in":"tasks"}',
        places[1]: b'{"id":1,"in":"notes"}',
    }


async def test_everything_at_once(store: Store) -> None:
    """More of each kind than any store takes in one part, all different in all columns."""
    names = [f"c{number % 7}" for number in range(1_500)]
    rows = {
        (name, integer_key(number + 1)): row(
            number + 1, {"n": number}, version=number + 1, created_at=number, updated_at=number + 1
        )
        for number, name in enumerate(names)
    }
    replies = {
        (f"sender {number % 3}", f"id {number}"): reply(str(number), at=number)
        for number in range(1_500)
    }
    heads = {
        name: Head(number + 2, sequence=number * 3)
        for number, name in enumerate(sorted(set(names)))
    }
    async with store.write(sorted(heads)) as unit:
        changed = {place: RowChange(None, new) for place, new in rows.items()}
        await unit.commit(Changes(heads, changed, replies))
    loaded = await load(store, Wanted(sorted(heads), list(rows), list(replies)))
    assert loaded == Loaded(heads, rows, replies)


async def test_a_unit_loads_what_a_snapshot_does(store: Store) -> None:
    await keep(store, row(1, {"n": 1}))
    await answer(store, ("1", reply("one")))
    wanted = Wanted([TASKS], [(TASKS, integer_key(1))], [("me", "1")])
    async with store.write([TASKS]) as unit:
        inside = [await unit.load(wanted), await unit.load(wanted)]
    assert inside == [await load(store, wanted)] * 2


async def test_a_single_read_reads_the_same(store: Store) -> None:
    await keep(store, row(1, {"n": 1}))
    wanted = Wanted([TASKS], [(TASKS, integer_key(1))], [])
    async with store.read(single=True) as snapshot:
        loaded = await snapshot.load(wanted)
    assert loaded == await load(store, wanted)
