"""What a store may do without a unit or a snapshot: all of it, or nothing and say so.

A store is free to decline (False, None); then nothing was committed. So each test says what
must hold whichever it does, and PostgreSQL, which does it, is also asked to.
"""

from collections.abc import Sequence

import pytest

from holdfast_backends.encoding import integer_key
from holdfast_backends.store import (
    CREATED,
    Changes,
    EventRow,
    Head,
    IndexSlot,
    Row,
    RowChange,
    Scanned,
    Span,
    Store,
    Wanted,
)
from tests.conformance.store_contract.words import (
    OWNER,
    TASKS,
    contents,
    keep,
    load,
    outbox,
    reply,
    row,
)

ON_POSTGRES = pytest.mark.parametrize(
    "make_store", [pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True
)


def new_rows(
    *rows: Row, after: Head, messages: Sequence[str] = (), events: bool = True, sender: str = "me"
) -> Changes:
    """What an append commits behind a head: rows, a message for each or none, and events."""
    count = len(rows)
    reached = after._replace(next_id=after.next_id + count, sequence=after.sequence + count)
    changes = Changes(heads={TASKS: reached})
    changes.rows = {(TASKS, new.key): RowChange(None, new) for new in rows}
    changes.replies = {(sender, message): reply(message) for message in messages}
    if events:
        changes.events[TASKS] = created(*rows, after=after, messages=messages, sender=sender)
    return changes


def created(
    *rows: Row, after: Head, messages: Sequence[str] = (), sender: str = "me"
) -> list[EventRow]:
    """The events of new rows behind a head."""
    events = []
    for at, new in enumerate(rows):
        who = (sender, messages[at]) if messages else (None, None)
        sequence = after.sequence + 1 + at
        events.append(
            EventRow(sequence, CREATED, new.key, 1, new.document or b"", new.created_at, *who)
        )
    return events


async def with_head(store: Store, head: Head) -> None:
    """Give the collection a head."""
    async with store.write([TASKS]) as unit:
        await unit.commit(Changes(heads={TASKS: head}))


async def append(store: Store, expected: Head, changes: Changes) -> bool:
    """Ask for an append of what is known beforehand."""
    return await store.append(TASKS, expected, lambda: changes)


async def nothing_was_kept(store: Store, head: Head) -> None:
    """Assert that the collection holds nothing but this head."""
    assert await contents(store) == []
    assert await outbox(store) == []
    assert await store.heads() == {TASKS: head}


# -- appending ---------------------------------------------------------------------------------


async def test_an_append_is_all_there_or_was_declined(store: Store) -> None:
    head, rows = Head(1, sequence=4), [row(1, {"n": 1}), row(2, {"n": 2})]
    await with_head(store, head)
    done = await append(store, head, new_rows(*rows, after=head, messages=["m", "n"]))
    loaded = await load(store, Wanted([TASKS], [], [("me", "m"), ("me", "n")]))
    assert loaded.heads == {TASKS: Head(3, sequence=6) if done else head}
    assert len(loaded.replies) == (2 if done else 0)
    assert await contents(store) == (rows if done else [])
    events = created(*rows, after=head, messages=["m", "n"])
    assert await outbox(store) == (events if done else [])


@pytest.mark.parametrize("other", [Head(1, sequence=4), Head(5, sequence=3), Head(5, sequence=5)])
async def test_an_append_on_another_head_is_declined(store: Store, other: Head) -> None:
    await with_head(store, Head(5, sequence=4))
    assert not await append(store, other, new_rows(row(other.next_id, {}), after=other))
    await nothing_was_kept(store, Head(5, sequence=4))


async def test_an_append_to_a_collection_without_a_head_is_declined(store: Store) -> None:
    assert not await append(store, Head(1), new_rows(row(1, {}), after=Head(1)))
    assert await contents(store) == []
    assert await outbox(store) == []
    assert await store.heads() == {}


async def test_an_append_under_declared_indexes_is_declined(store: Store) -> None:
    head = Head(1, (OWNER,))
    await with_head(store, head)
    assert not await append(store, head, new_rows(row(1, {}), after=head))
    assert not await append(store, Head(1), new_rows(row(1, {}), after=Head(1)))
    await nothing_was_kept(store, head)


async def test_an_append_of_a_known_message_commits_nothing(store: Store) -> None:
    await with_head(store, Head(1))
    async with store.write([TASKS]) as unit:
        await unit.commit(Changes(replies={("me", "m"): reply("first")}))
    rows = [row(1, {}), row(2, {})]
    changes = new_rows(*rows, after=Head(1), messages=["n", "m"])
    assert not await append(store, Head(1), changes)
    loaded = await load(store, Wanted([TASKS], [], [("me", "m"), ("me", "n")]))
    assert loaded.replies == {("me", "m"): reply("first")}
    await nothing_was_kept(store, Head(1))


async def test_an_append_with_messages_of_some_rows_only_is_declined(store: Store) -> None:
    """Which row is whose cannot be told then."""
    await with_head(store, Head(1))
    changes = new_rows(row(1, {}), row(2, {}), after=Head(1))
    changes.replies = {("me", "m"): reply("m")}
    assert not await append(store, Head(1), changes)
    await nothing_was_kept(store, Head(1))
    assert (await load(store, Wanted([], [], [("me", "m")]))).replies == {}


async def test_an_append_with_a_message_of_no_row_tells_of_the_row_as_given(store: Store) -> None:
    """A message may have failed: its reply is kept, and it is not the row's."""
    await with_head(store, Head(1))
    changes = new_rows(row(1, {}), after=Head(1))
    changes.replies = {("me", "failed"): reply("failed")}
    done = await append(store, Head(1), changes)
    assert await outbox(store) == (changes.events[TASKS] if done else [])


@ON_POSTGRES
@pytest.mark.parametrize("messages", [["m", "n", "o"], []])
async def test_postgres_appends_in_one_statement(store: Store, messages: list[str]) -> None:
    head = Head(1, sequence=2**53 - 10)
    await with_head(store, head)
    rows = [row(1, {"n": "ä"}, expires_at=9), row(2, {}), row(3, {})]
    changes = new_rows(*rows, after=head, messages=messages, sender="Ω 𝄞")
    assert await append(store, head, changes)
    assert await contents(store) == rows
    expected = created(*rows, after=head, messages=messages, sender="Ω 𝄞")
    assert await outbox(store) == expected
    assert await store.heads() == {TASKS: Head(4, sequence=2**53 - 7)}
    loaded = await load(store, Wanted([], [], [("Ω 𝄞", message) for message in messages]))
    assert loaded.replies == changes.replies


@ON_POSTGRES
async def test_postgres_appends_messages_of_several_senders(store: Store) -> None:
    await with_head(store, Head(1))
    rows = [row(number, {}) for number in range(1, 5)]
    messages = [("a", "1"), ("a", "2"), ("b", "1"), ("a", "3")]
    changes = new_rows(*rows, after=Head(1))
    changes.replies = {message: reply(message[1]) for message in messages}
    changes.events[TASKS] = [
        told._replace(sender=sender, message_id=message_id)
        for told, (sender, message_id) in zip(changes.events[TASKS], messages, strict=True)
    ]
    assert await append(store, Head(1), changes)
    assert await outbox(store) == changes.events[TASKS]


@ON_POSTGRES
async def test_postgres_appends_without_events_where_none_are_kept(store: Store) -> None:
    await with_head(store, Head(1))
    changes = new_rows(row(1, {}), after=Head(1), messages=["m"], events=False)
    assert await append(store, Head(1), changes)
    assert await outbox(store) == []
    assert await store.heads() == {TASKS: Head(2, sequence=1)}


@ON_POSTGRES
async def test_postgres_appends_one_behind_the_other(store: Store) -> None:
    await with_head(store, Head(1))
    for number in range(1, 6):
        head = Head(number, sequence=number - 1)
        changes = new_rows(row(number, {}), after=head, messages=[str(number)])
        assert await append(store, head, changes)
        assert not await append(store, head, changes)
    assert [told.message_id for told in await outbox(store)] == ["1", "2", "3", "4", "5"]
    assert [told.sequence for told in await outbox(store)] == [1, 2, 3, 4, 5]


@ON_POSTGRES
async def test_postgres_does_not_append_past_somebody_who_holds_the_collection(
    store: Store,
) -> None:
    await with_head(store, Head(1))
    async with store.write([TASKS]) as unit:
        await unit.load(Wanted([TASKS], [], []))
        changes = new_rows(row(1, {}), after=Head(1))
        assert not await append(store, Head(1), changes)
    await nothing_was_kept(store, Head(1))


# -- scanning ----------------------------------------------------------------------------------


async def test_a_single_scan_gives_the_rows_of_a_snapshot_or_declines(store: Store) -> None:
    await with_head(store, Head(4, sequence=2**53 - 1))
    await keep(store, row(1, {}), row(2, {}), row(3, {}))
    scanned = await store.scan_once(Span(TASKS, after=(b"", integer_key(1))), 5, ())
    if scanned is not None:
        assert list(scanned.rows) == [row(2, {}), row(3, {})]
        assert scanned.sequence == 2**53 - 1


@ON_POSTGRES
async def test_postgres_scans_in_one_statement(store: Store) -> None:
    head = Head(3, (OWNER,), 8)
    await with_head(store, head)
    await keep(store, row(1, {"owner": "b"}), row(2, {"owner": "a"}), slots=[OWNER], head=head)
    for span, found in ((Span(TASKS), [1, 2]), (Span(TASKS, 0), [2, 1])):
        scanned = await store.scan_once(span, 5, (OWNER,))
        assert isinstance(scanned, Scanned)
        assert [kept.key for kept in scanned.rows] == [integer_key(number) for number in found]
        assert scanned.sequence == 8


async def test_a_single_scan_is_declined_when_other_indexes_are_declared(store: Store) -> None:
    await with_head(store, Head(2, (OWNER,)))
    await keep(store, row(1, {}))
    unready = IndexSlot(OWNER.number, OWNER.path, ready=False)
    assert await store.scan_once(Span(TASKS), 5, ()) is None
    assert await store.scan_once(Span(TASKS), 5, (unready,)) is None
