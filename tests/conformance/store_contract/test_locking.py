"""Between a unit's first read and its commit nobody else's change comes, in every store."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import pytest

from holdfast_backends.encoding import integer_key
from holdfast_backends.store import Changes, CommitConflictError, Head, Store, Wanted
from tests.conformance.store_contract.words import TASKS, contents, keep, load, row

DEADLINE = 30.0


async def _overtaken(
    one: Store, other: Store, collections: Sequence[str], *, everything: bool = False
) -> bool:
    """Open a unit, have another store change `notes` meanwhile, commit; whether it was first.

    Either the other one waits until the unit is over (locks), or the unit's commit notices.
    """
    meanwhile = None
    try:
        async with one.write(collections, everything=everything) as unit:
            await unit.load(Wanted(list(collections), [], []))
            await unit.counts(0)
            meanwhile = asyncio.create_task(
                keep(other, row(1, {"by": "other"}), collection="notes")
            )
            await asyncio.wait([meanwhile], timeout=0.05)
            was_first = meanwhile.done()
            await unit.commit(Changes(heads={name: Head(7) for name in collections}))
            return was_first
    except CommitConflictError:
        return False
    finally:
        if meanwhile is not None:
            await asyncio.wait_for(meanwhile, DEADLINE)


async def test_a_unit_keeps_others_from_its_collections(pair: tuple[Store, Store]) -> None:
    assert not await _overtaken(*pair, ["notes", "tasks"])
    assert len(await contents(pair[0], "notes")) == 1


async def test_everything_keeps_others_from_all(pair: tuple[Store, Store]) -> None:
    assert not await _overtaken(*pair, ["tasks"], everything=True)


async def test_many_collections_keep_others_from_all_of_them(pair: tuple[Store, Store]) -> None:
    names = sorted(["notes", *(f"c{number}" for number in range(300))])
    assert not await _overtaken(*pair, names)


async def test_who_read_before_a_fence_does_not_commit_after_it(pair: tuple[Store, Store]) -> None:
    """Either the fence waits until the unit is over (locks), or the unit's commit notices."""

    async def fence() -> None:
        async with pair[1].write([TASKS]) as unit:
            await unit.load(Wanted([TASKS], [], []))
            await unit.commit(Changes(fenced={TASKS}))

    await keep(pair[0], row(1))
    fencing = None
    with suppress(CommitConflictError):
        async with pair[0].write([TASKS]) as unit:
            await unit.load(Wanted([TASKS], [], []))
            fencing = asyncio.create_task(fence())
            await asyncio.wait([fencing], timeout=0.05)
            was_first = fencing.done()
            await unit.commit(Changes(heads={TASKS: Head(7)}))
            assert not was_first
    assert fencing is not None
    await asyncio.wait_for(fencing, DEADLINE)


async def test_units_of_many_collections_pass_each_other(pair: tuple[Store, Store]) -> None:
    """Overlapping sets, named in order, never wait for each other in a circle."""

    async def unit(store: Store, names: Sequence[str], number: int) -> None:
        for _attempt in range(500):
            with suppress(CommitConflictError):
                async with store.write(names) as unit:
                    loaded = await unit.load(Wanted(names, [], []))
                    heads = {
                        name: Head(loaded.heads.get(name, Head()).next_id + 1) for name in names
                    }
                    await unit.commit(Changes(heads=heads))
                    return
        pytest.fail(f"unit {number} never came through")

    sets = [["a", "b"], ["b", "c"], ["a", "c"], ["a", "b", "c"]]
    calls = [unit(pair[n % 2], sets[n % 4], n) for n in range(24)]
    await asyncio.wait_for(asyncio.gather(*calls), DEADLINE)
    heads = (await load(pair[0], Wanted(["a", "b", "c"], [], []))).heads
    assert {name: head.next_id for name, head in heads.items()} == {"a": 19, "b": 19, "c": 19}


async def test_a_snapshot_is_one_state(pair: tuple[Store, Store]) -> None:
    """Or it says that its state has passed."""
    one, other = pair
    await keep(one, row(1, {"n": 1}))
    wanted = Wanted([], [(TASKS, integer_key(1)), (TASKS, integer_key(2))], [])
    with suppress(CommitConflictError):
        async with one.read() as snapshot:
            before = await snapshot.load(wanted)
            await keep(other, row(1, {"n": 2}, version=2), row(2, {}))
            assert await snapshot.load(wanted) == before
            assert await snapshot.count(TASKS, 0) == 1
            assert await snapshot.counts(0) == {TASKS: 1}
    assert len(await contents(one)) == 2
