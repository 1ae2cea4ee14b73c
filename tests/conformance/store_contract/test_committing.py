"""A unit's changes become durable together, or not at all, in every store."""

import asyncio
import functools

import pytest

from holdfast_backends.encoding import integer_key
from holdfast_backends.store import (
    Changes,
    CommitConflictError,
    Head,
    Loaded,
    Row,
    RowChange,
    Store,
    Wanted,
)
from holdfast_backends.values import decode_document
from tests.conformance.store_contract.factories import MakeStore
from tests.conformance.store_contract.words import (
    TASKS,
    contents,
    keep,
    load,
    persist,
    put,
    reply,
    row,
)

ALL = Wanted([TASKS], [(TASKS, integer_key(1)), (TASKS, integer_key(2))], [("me", "1")])


class OwnError(Exception):
    """Of the unit's user."""


async def test_a_unit_without_a_commit_leaves_no_trace(store: Store) -> None:
    await keep(store, row(1, {"n": 1}))
    async with store.write([TASKS]) as unit:
        await unit.load(ALL)
    assert await contents(store) == [row(1, {"n": 1})]


async def test_an_error_of_the_user_passes_and_leaves_no_trace(store: Store) -> None:
    with pytest.raises(OwnError):
        async with store.write([TASKS]) as unit:
            await unit.load(ALL)
            raise OwnError
    assert await load(store, ALL) == Loaded({}, {}, {})
    await keep(store, row(1, {"n": 1}))


async def test_an_empty_commit_changes_nothing(store: Store) -> None:
    async with store.write([TASKS]) as unit:
        await unit.load(ALL)
        await unit.commit(Changes())
    assert await load(store, ALL) == Loaded({}, {}, {})


async def test_a_commit_without_a_load(store: Store) -> None:
    async with store.write([TASKS]) as unit:
        await unit.commit(Changes(heads={TASKS: Head(5)}))
    assert (await load(store, ALL)).heads == {TASKS: Head(5)}


async def test_new_and_changed_rows_together(store: Store) -> None:
    await keep(store, row(1, {"n": 1}), row(2))
    rows = [row(1, version=2), row(2, {"n": 2}, version=2, created_at=5), row(3, {"n": 3})]
    await keep(store, *rows)
    assert await contents(store) == rows[1:]


async def test_an_identity_used_before_undoes_the_whole_commit(
    pair: tuple[Store, Store],
) -> None:
    """Even where nobody looked for it: a store in memory, which nobody else has, need not."""
    store = pair[0]
    async with store.write([]) as unit:
        await unit.commit(Changes(replies={("me", "1"): reply("first")}))
    changes = Changes({TASKS: Head(9)}, {}, {("me", "2"): reply(), ("me", "1"): reply("second")})
    changes.rows[TASKS, integer_key(1)] = RowChange(None, row(1, {}))
    with pytest.raises(CommitConflictError):
        async with store.write([TASKS]) as unit:
            await unit.commit(changes)
    loaded = await load(store, Wanted([TASKS], ALL.rows, [("me", "1"), ("me", "2")]))
    assert loaded == Loaded({}, {}, {("me", "1"): reply("first")})


async def test_after_a_conflict_the_store_goes_on(pair: tuple[Store, Store]) -> None:
    store = pair[0]
    async with store.write([]) as unit:
        await unit.commit(Changes(replies={("me", "1"): reply()}))
    for _again in range(10):
        with pytest.raises(CommitConflictError):
            async with store.write([]) as unit:
                await unit.commit(Changes(replies={("me", "1"): reply()}))
    await keep(store, row(1, {"n": 1}))
    assert await contents(store) == [row(1, {"n": 1})]


async def test_what_was_committed_is_there_when_opened_again(
    make_shared_store: MakeStore,
) -> None:
    async with make_shared_store() as store:
        await keep(store, row(1, {"n": 1}))
    async with make_shared_store() as store:
        assert await contents(store) == [row(1, {"n": 1})]


async def test_a_store_can_be_opened_again(make_shared_store: MakeStore) -> None:
    store = make_shared_store()
    async with store:
        await keep(store, row(1, {"n": 1}))
    async with store:
        assert await contents(store) == [row(1, {"n": 1})]


async def _add_one(store: Store) -> None:
    async def attempt() -> None:
        async with store.write([TASKS]) as unit:
            loaded = await unit.load(Wanted([TASKS], [(TASKS, integer_key(1))], []))
            present = loaded.rows.get((TASKS, integer_key(1)))
            await put(unit, [_incremented(present)])

    await persist(attempt)


def _incremented(present: Row | None) -> Row:
    if present is None or present.document is None:
        return row(1, {"n": 1})
    number = decode_document(present.document)["n"]
    assert isinstance(number, int)
    return row(1, {"n": number + 1}, version=present.version + 1)


async def test_no_update_is_lost_among_coroutines(store: Store) -> None:
    await asyncio.gather(*(_add_one(store) for _ in range(30)))
    assert await contents(store) == [row(1, {"n": 30}, version=30)]


async def test_no_update_is_lost_between_two_stores(pair: tuple[Store, Store]) -> None:
    await asyncio.gather(*(_add_one(store) for store in pair * 15))
    assert await contents(pair[0]) == [row(1, {"n": 30}, version=30)]


async def test_one_identity_takes_effect_once_between_two_stores(
    pair: tuple[Store, Store],
) -> None:
    """The same message, to different collections at once: locks alone do not keep it out."""

    async def attempt(store: Store, collection: str) -> bool:
        async with store.write([collection]) as unit:
            if (await unit.load(Wanted([], [], [("me", "1")]))).replies:
                return False
            changes = Changes(replies={("me", "1"): reply(collection)})
            changes.rows[collection, integer_key(1)] = RowChange(None, row(1, {}))
            await unit.commit(changes)
            return True

    calls = [
        persist(functools.partial(attempt, store, f"c{number}"))
        for number, store in enumerate(pair * 4)
    ]
    assert sum(await asyncio.gather(*calls)) == 1
    async with pair[0].read() as snapshot:
        assert sum((await snapshot.counts(0)).values()) == 1
