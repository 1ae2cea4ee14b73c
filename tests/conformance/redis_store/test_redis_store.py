"""What is the Redis store's own: compare and set, what an index keeps, lost connections."""

from collections.abc import AsyncIterator, Sequence

import pytest
import pytest_asyncio

from holdfast_backends.encoding import index_value, integer_key
from holdfast_backends.errors import StorageError, TooLargeError
from holdfast_backends.redis_store import RedisStore
from holdfast_backends.store import (
    Changes,
    CommitConflictError,
    Head,
    IndexSlot,
    Row,
    RowChange,
    Span,
    StoredReply,
    Wanted,
)
from holdfast_backends.values import JsonValue
from tests.conformance.redis_store.redis_tools import (
    contents,
    keep,
    put,
    row,
)

pytestmark = pytest.mark.redis


@pytest_asyncio.fixture
async def pair(
    redis_url: str, fresh_redis_namespace: str
) -> AsyncIterator[tuple[RedisStore, RedisStore]]:
    """Two stores on the same namespace, as two processes have them."""
    one = RedisStore(redis_url, namespace=fresh_redis_namespace)
    other = RedisStore(redis_url, namespace=fresh_redis_namespace)
    async with one, other:
        yield one, other


# -- compare and set ---------------------------------------------------------------------------


async def test_a_unit_that_was_overtaken_changes_nothing(
    pair: tuple[RedisStore, RedisStore],
) -> None:
    one, other = pair
    with pytest.raises(CommitConflictError):
        async with one.write(["tasks"]) as unit:
            await unit.load(Wanted(["tasks"], [], []))
            await keep(other, row(1, {"by": "other"}))
            changes = Changes(heads={"tasks": Head(9)})
            changes.rows["tasks", integer_key(2)] = RowChange(None, row(2, {}))
            changes.replies["me", "1"] = StoredReply(b"d", b"o", 1)
            await unit.commit(changes)
    async with one.read() as snapshot:
        loaded = await snapshot.load(
            Wanted(["tasks"], [("tasks", integer_key(n)) for n in (1, 2)], [("me", "1")])
        )
    assert loaded.heads == {}
    assert [key for _, key in loaded.rows] == [integer_key(1)]
    assert loaded.replies == {}


async def test_others_collections_do_not_matter(pair: tuple[RedisStore, RedisStore]) -> None:
    one, other = pair
    async with one.write(["tasks"]) as unit:
        await unit.load(Wanted(["tasks"], [], []))
        await keep(other, row(1, {}), collection="notes")
        await put(unit, [row(1, {})])


async def test_everything_is_everything(pair: tuple[RedisStore, RedisStore]) -> None:
    one, other = pair
    with pytest.raises(CommitConflictError):
        async with one.write(["tasks"], everything=True) as unit:
            assert await unit.counts(0) == {}
            await keep(other, row(1, {}), collection="notes")
            await put(unit, [row(1, {})])


async def test_an_identity_used_meanwhile_is_a_conflict(
    pair: tuple[RedisStore, RedisStore],
) -> None:
    one, other = pair
    reply = StoredReply(b"d", b"o", 1)
    with pytest.raises(CommitConflictError):
        async with one.write(["tasks"]) as unit:
            await unit.load(Wanted(["tasks"], [], [("me", "1")]))
            async with other.write(["notes"]) as overtaking:
                await overtaking.commit(Changes(replies={("me", "1"): reply}))
            changes = Changes(replies={("me", "1"): StoredReply(b"x", b"y", 2)})
            changes.rows["tasks", integer_key(1)] = RowChange(None, row(1, {}))
            await unit.commit(changes)
    assert await contents(one) == []
    async with one.read() as snapshot:
        loaded = await snapshot.load(Wanted([], [], [("me", "1")]))
    assert loaded.replies == {("me", "1"): reply}


async def test_a_snapshot_ends_when_what_it_read_changes(
    pair: tuple[RedisStore, RedisStore],
) -> None:
    one, other = pair
    await keep(one, row(1, {}), row(2, {}))
    with pytest.raises(CommitConflictError):
        async with one.read() as snapshot:
            assert len(await snapshot.scan(Span("tasks"), 1)) == 1
            await keep(other, row(3, {}))
            await snapshot.scan(Span("notes"), 1)


async def test_a_unit_is_committed_once(pair: tuple[RedisStore, RedisStore]) -> None:
    async with pair[0].write(["tasks"]) as unit:
        await put(unit, [row(1, {})])
        with pytest.raises(StorageError):
            await unit.commit(Changes(heads={"tasks": Head(2)}))


async def test_foreign_keys_stop_a_commit_before_it_changes_anything(
    pair: tuple[RedisStore, RedisStore],
) -> None:
    store = pair[0]
    await store._client.driver.set(store._layout.live("tasks"), b"not ours")
    with pytest.raises(StorageError, match="not the store's"):
        await keep(store, row(1, {}))
    assert not await store._client.driver.exists(store._layout.rows("tasks"))
    assert not await store._client.driver.exists(store._layout.revisions)


# -- sizes and indexes -------------------------------------------------------------------------


async def test_many_rows_and_identities_in_one_commit(pair: tuple[RedisStore, RedisStore]) -> None:
    store, count = pair[0], 9_001
    identities = [("me", str(number)) for number in range(count)]
    rows = [row(number, {"n": number}) for number in range(1, count + 1)]
    async with store.write(["tasks"]) as unit:
        changes = Changes({}, {("tasks", new.key): RowChange(None, new) for new in rows})
        changes.replies = {one: StoredReply(b"d", b"o", 5) for one in identities}
        await unit.commit(changes)
    async with store.read() as snapshot:
        places = [("tasks", new.key) for new in rows]
        loaded = await snapshot.load(Wanted([], places, identities))
        assert len(loaded.rows) == len(loaded.replies) == count
        assert await snapshot.scan(Span("tasks"), count) == rows
        assert await snapshot.scan(Span("tasks", descending=True), count) == rows[::-1]
    assert await store.forget_replies(5, 10_000) == 0
    assert await store.forget_replies(6, 9_000) == 9_000
    assert await store.forget_replies(6, 9_000) == 1


async def test_a_thousand_rows_of_32_kib(pair: tuple[RedisStore, RedisStore]) -> None:
    rows = [row(number, {"text": "x" * 32_768}) for number in range(1, 1_001)]
    await keep(pair[0], *rows)
    assert len(await contents(pair[1])) == 1_000


async def test_more_than_one_answer_can_wait_for_is_refused_whole(
    pair: tuple[RedisStore, RedisStore],
) -> None:
    document = b"x" * 1_048_576
    rows = [Row(integer_key(number), 1, document, 1, 1) for number in range(1, 66)]
    with pytest.raises(TooLargeError):
        await keep(pair[0], *rows)
    assert await contents(pair[0]) == []
    await keep(pair[0], *rows[:64])
    assert await contents(pair[1]) == rows[:64]


async def test_a_place_of_an_index_forgets_its_earlier_path(
    pair: tuple[RedisStore, RedisStore],
) -> None:
    store = pair[0]
    by_a, by_b = IndexSlot(0, ("a",), True), IndexSlot(0, ("b",), True)
    await keep(store, row(1, {"a": 1, "b": 2}), row(2, {"a": 2, "b": 1}), slots=[by_a])
    await keep(store, row(2, {"a": 2, "b": 1}, version=2), slots=[IndexSlot(0, ("b",), False)])
    async with store.read() as snapshot:
        found = await snapshot.scan(Span("tasks", 0), 10)
    assert [one.key for one in found] == [integer_key(2)]
    await keep(store, row(1, {"a": 1, "b": 2}), slots=[by_b])
    assert dict(await store.heads()) == {"tasks": Head(1, (by_b,))}


VALUES: Sequence[JsonValue] = (None, True, 1, "a", "ab", "b", "b", "x" * 600, [], {})


async def test_a_range_is_what_its_values_say(pair: tuple[RedisStore, RedisStore]) -> None:
    places = await keep_values(pair[0])
    bounds = sorted({value + tail for value, _ in places for tail in (b"", b"\x00", b"\x7f")})
    async with pair[0].read() as snapshot:
        for low in [None, *bounds]:
            for high in [None, *bounds]:
                expected = [
                    key
                    for value, key in places
                    if (low is None or value >= low) and (high is None or value < high)
                ]
                span = Span("tasks", 3, low, high)
                assert [one.key for one in await snapshot.scan(span, 99)] == expected
                span = Span("tasks", 3, low, high, descending=True)
                assert [one.key for one in await snapshot.scan(span, 99)] == expected[::-1]


async def test_a_scan_goes_on_behind_any_place(pair: tuple[RedisStore, RedisStore]) -> None:
    places = await keep_values(pair[0])
    afters = [(value, part) for value, key in places for part in (b"", key, b"\xff")]
    async with pair[0].read() as snapshot:
        for after in afters:
            behind = [key for value, key in places if (value, key) > after]
            span = Span("tasks", 3, after=after)
            assert [one.key for one in await snapshot.scan(span, 99)] == behind
            before = [key for value, key in places if (value, key) < after]
            span = Span("tasks", 3, after=after, descending=True)
            assert [one.key for one in await snapshot.scan(span, 99)] == before[::-1]
            span = Span("tasks", 3, places[2][0], places[7][0], after)
            inside = [key for value, key in places[2:7] if (value, key) > after]
            assert [one.key for one in await snapshot.scan(span, 99)] == inside
            span = Span("tasks", 3, places[2][0], places[7][0], after, descending=True)
            inside = [key for value, key in places[2:7] if (value, key) < after]
            assert [one.key for one in await snapshot.scan(span, 99)] == inside[::-1]


async def keep_values(store: RedisStore) -> list[tuple[bytes, bytes]]:
    """Records with all kinds of values, indexed in slot 3; their places in order."""
    rows = [row(at, {"v": value}) for at, value in enumerate(VALUES, 1)]
    await keep(store, *rows, slots=[IndexSlot(3, ("v",), True)])
    return [(index_value(value), one.key) for value, one in zip(VALUES, rows, strict=True)]


async def test_expiry_is_told_exactly(pair: tuple[RedisStore, RedisStore]) -> None:
    store, late = pair[0], 4_900_000_000_000_001  # µs: in the year 2125
    await keep(store, row(1, {}), row(2, {}, expires_at=late), row(3, {}, expires_at=late + 1))
    await keep(store, row(1, {}, expires_at=late), collection="notes")
    async with store.read() as snapshot:
        assert await snapshot.counts(late - 1) == {"tasks": 3, "notes": 1}
        assert await snapshot.counts(late) == {"tasks": 2}
        assert await snapshot.count("tasks", late + 1) == 1
        expired = await snapshot.expired(late, 10)
        assert [(name, one.key) for name, one in expired] == [
            ("notes", integer_key(1)),
            ("tasks", integer_key(2)),
        ]
        assert len(await snapshot.expired(late + 1, 2)) == 2
        assert len(await snapshot.expired(late + 1, 10)) == 3
    await keep(store, row(2, version=2), row(3, {}, version=2))
    async with store.read() as snapshot:
        assert await snapshot.counts(late + 1) == {"tasks": 2}


async def test_many_expired_rows_come_each_once(pair: tuple[RedisStore, RedisStore]) -> None:
    await keep(pair[0], *(row(number, {}, expires_at=number % 7) for number in range(1, 1_001)))
    async with pair[1].read() as snapshot:
        assert len({one.key for _, one in await snapshot.expired(6, 5_000)}) == 1_000
        assert len({one.key for _, one in await snapshot.expired(6, 600)}) == 600
