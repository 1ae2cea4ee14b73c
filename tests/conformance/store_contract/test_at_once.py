"""What a store may do without a unit or a snapshot: all of it, or nothing and say so.

A store is free to decline (False, None); then nothing was committed. So each test says what
must hold whichever it does, and PostgreSQL, which does it, is also asked to.
"""

import pytest

from holdfast_backends.encoding import integer_key
from holdfast_backends.store import Changes, Head, IndexSlot, Row, RowChange, Span, Store, Wanted
from tests.conformance.store_contract.words import (
    OWNER,
    TASKS,
    contents,
    keep,
    load,
    reply,
    row,
)

ON_POSTGRES = pytest.mark.parametrize(
    "make_store", [pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True
)


def new_rows(*rows: Row, reached: int, message: str | None = None) -> Changes:
    """What an append commits."""
    changes = Changes(heads={TASKS: Head(reached)})
    changes.rows = {(TASKS, new.key): RowChange(None, new) for new in rows}
    if message is not None:
        changes.replies = {("me", message): reply(message)}
    return changes


async def with_head(store: Store, head: Head) -> None:
    """Give the collection a head."""
    async with store.write([TASKS]) as unit:
        await unit.commit(Changes(heads={TASKS: head}))


async def test_an_append_is_all_there_or_was_declined(store: Store) -> None:
    await with_head(store, Head(1))
    changes = new_rows(row(1, {"n": 1}), row(2, {"n": 2}), reached=3, message="m")
    done = await store.append(TASKS, Head(1), changes)
    loaded = await load(store, Wanted([TASKS], [], [("me", "m")]))
    assert loaded.heads == {TASKS: Head(3 if done else 1)}
    assert bool(loaded.replies) is done
    assert await contents(store) == ([row(1, {"n": 1}), row(2, {"n": 2})] if done else [])


async def test_an_append_on_another_head_is_declined(store: Store) -> None:
    await with_head(store, Head(5))
    assert not await store.append(TASKS, Head(1), new_rows(row(1, {}), reached=2))
    assert await contents(store) == []


async def test_an_append_to_a_collection_without_a_head_is_declined(store: Store) -> None:
    assert not await store.append(TASKS, Head(1), new_rows(row(1, {}), reached=2))
    assert await contents(store) == []


async def test_an_append_under_declared_indexes_is_declined(store: Store) -> None:
    await with_head(store, Head(1, (OWNER,)))
    assert not await store.append(TASKS, Head(1), new_rows(row(1, {}), reached=2))
    assert await contents(store) == []


async def test_an_append_of_a_known_message_commits_nothing(store: Store) -> None:
    await with_head(store, Head(1))
    async with store.write([TASKS]) as unit:
        await unit.commit(Changes(replies={("me", "m"): reply("first")}))
    assert not await store.append(TASKS, Head(1), new_rows(row(1, {}), reached=2, message="m"))
    loaded = await load(store, Wanted([TASKS], [], [("me", "m")]))
    assert loaded.replies == {("me", "m"): reply("first")}
    assert loaded.heads == {TASKS: Head(1)}


@ON_POSTGRES
async def test_postgres_appends_in_one_statement(store: Store) -> None:
    await with_head(store, Head(1))
    rows = [row(1, {}, expires_at=9), row(2, {})]
    assert await store.append(TASKS, Head(1), new_rows(*rows, reached=3, message="m"))
    assert await contents(store) == rows


@ON_POSTGRES
async def test_postgres_does_not_append_past_somebody_who_holds_the_collection(
    store: Store,
) -> None:
    await with_head(store, Head(1))
    async with store.write([TASKS]) as unit:
        await unit.load(Wanted([TASKS], [], []))
        assert not await store.append(TASKS, Head(1), new_rows(row(1, {}), reached=2))
    assert await contents(store) == []


async def test_a_single_scan_gives_the_rows_of_a_snapshot_or_declines(store: Store) -> None:
    await with_head(store, Head(4))
    await keep(store, row(1, {}), row(2, {}), row(3, {}))
    rows = await store.scan_once(Span(TASKS, after=(b"", integer_key(1))), 5, ())
    assert rows is None or list(rows) == [row(2, {}), row(3, {})]


async def test_a_single_scan_is_declined_when_other_indexes_are_declared(store: Store) -> None:
    await with_head(store, Head(2, (OWNER,)))
    await keep(store, row(1, {}))
    unready = IndexSlot(OWNER.number, OWNER.path, ready=False)
    assert await store.scan_once(Span(TASKS), 5, ()) is None
    assert await store.scan_once(Span(TASKS), 5, (unready,)) is None
