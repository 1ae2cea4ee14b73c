"""The outbox in Redis: its bounds, a full server, and a namespace of the layout before it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from holdfast_backends.encoding import integer_key
from holdfast_backends.errors import StorageError, TooLargeError
from holdfast_backends.redis_store import RedisStore
from holdfast_backends.store import (
    DELETED,
    UPDATED,
    Changes,
    CommitConflictError,
    EventRow,
    Head,
    RowChange,
    Wanted,
)
from tests.conformance.redis_store.redis_tools import contents, keep, redis_server, row

pytestmark = pytest.mark.redis

MEBIBYTE = 1_048_576


@pytest_asyncio.fixture
async def store(redis_url: str, fresh_redis_namespace: str) -> AsyncIterator[RedisStore]:
    """An open store."""
    async with RedisStore(redis_url, namespace=fresh_redis_namespace) as opened:
        yield opened


def event(sequence: int, document: bytes = b"{}", kind: int = UPDATED) -> EventRow:
    """A change of the first record."""
    return EventRow(sequence, kind, integer_key(1), sequence, document, 1, "me", "m")


async def put_events(store: RedisStore, *events: EventRow, collection: str = "tasks") -> None:
    """Commit events, and the head that goes with them."""
    async with store.write([collection]) as unit:
        head = Head(sequence=events[-1].sequence)
        await unit.commit(Changes(heads={collection: head}, events={collection: list(events)}))


async def test_more_events_than_one_command_takes(store: RedisStore) -> None:
    events = [event(number) for number in range(1, 9_002)]
    await put_events(store, *events)
    assert await store.events("tasks", 0, 10_000) == events
    assert await store.forget_events("tasks", 9_000, 8_999) == 8_999
    assert await store.events("tasks", 0, 10) == events[-2:]


async def test_more_marks_than_one_script_takes(store: RedisStore) -> None:
    names = [f"c{number}" for number in range(5_000)]
    async with store.write(sorted(names)) as unit:
        await unit.commit(Changes(heads={name: Head(sequence=3) for name in names}))
    await store.mark_published(dict.fromkeys(names, 2))
    assert await store.unpublished() == dict.fromkeys(names, 2)
    await store.mark_published(dict.fromkeys(names, 3))
    assert await store.unpublished() == {}


async def test_events_count_for_what_is_written_at_once(store: RedisStore) -> None:
    events = [event(number, b"x" * MEBIBYTE) for number in range(1, 66)]
    with pytest.raises(TooLargeError):
        await put_events(store, *events)
    assert await store.events("tasks", 0, 1) == []
    await put_events(store, *events[:64])
    assert await store.events("tasks", 62, 10) == events[62:64]


async def test_a_foreign_key_stops_a_commit_before_it_changes_anything(store: RedisStore) -> None:
    await store._client.driver.set(store._layout.events("tasks"), b"not ours")
    with pytest.raises(StorageError, match="not the store's"):
        await put_events(store, event(1))
    assert await store.heads() == {}


async def test_an_account_that_may_not_forget_events_is_refused(tmp_path: Path) -> None:
    async with redis_server(tmp_path) as server:
        async with server.client() as client:
            await client.execute_command(  # type: ignore[no-untyped-call]
                "ACL SETUSER", "default", "-zremrangebyrank"
            )
        with pytest.raises(StorageError, match="refuses this account"):
            await RedisStore(server.url).__aenter__()


async def test_without_memory_records_are_deleted_and_events_published_and_forgotten(
    tmp_path: Path,
) -> None:
    async with (
        redis_server(tmp_path, "--maxmemory-policy", "noeviction") as server,
        RedisStore(server.url) as store,
        server.client() as client,
    ):
        kept = row(1, {"text": "x" * 100_000})
        await keep(store, kept)
        await put_events(store, event(1, kept.document or b""))
        await client.config_set("maxmemory", "1mb")
        with pytest.raises(StorageError, match="no memory left"):
            await put_events(store, event(2))
        async with store.write(["tasks"]) as unit:
            place = ("tasks", kept.key)
            loaded = await unit.load(Wanted(["tasks"], [place], []))
            changes = Changes(heads={"tasks": Head(sequence=2)})
            changes.rows[place] = RowChange(loaded.rows[place], row(1, version=2))
            changes.events["tasks"] = [event(2, kept.document or b"", DELETED)]
            await unit.commit(changes)
        assert [found.kind for found in await store.events("tasks", 0, 9)] == [UPDATED, DELETED]
        await store.mark_published({"tasks": 2})
        assert await store.unpublished() == {}
        assert await store.forget_events("tasks", 2, 9) == 2


# -- the former layout -------------------------------------------------------------------------


async def make_former(store: RedisStore) -> None:
    """Make the store's namespace one of layout 1, with a record, a head and an index."""
    await keep(store, row(1, {"a": 1}))
    driver, layout = store._client.driver, store._layout
    await driver.hset(layout.heads.decode(), "tasks", b'{"last":7,"slots":[]}')
    await driver.set(layout.version, b"1")


async def test_a_namespace_of_the_former_layout_is_upgraded(
    store: RedisStore, redis_url: str, fresh_redis_namespace: str
) -> None:
    await make_former(store)
    for _ in range(2):
        async with RedisStore(redis_url, namespace=fresh_redis_namespace) as upgraded:
            assert await store._client.driver.get(store._layout.version) == b"2"
            assert await upgraded.heads() == {"tasks": Head(8)}
            assert await contents(upgraded) == [row(1, {"a": 1})]
            assert await upgraded.unpublished() == {}
    await put_events(store, event(1))
    assert await store.unpublished() == {"tasks": 0}


async def test_a_new_namespace_is_not_an_upgraded_one(store: RedisStore) -> None:
    assert not await store._client.driver.exists(store._layout.former_lease)


async def test_a_process_of_the_former_layout_cannot_commit_after_the_upgrade(
    store: RedisStore,
    redis_url: str,
    fresh_redis_namespace: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It would write heads without a sequence, and the next one's changes would be 1 again."""
    former = store._layout
    prefix = former.former_lease.removesuffix(b"*")
    monkeypatch.setattr(former, "lease", lambda name: prefix + name)
    await make_former(store)
    await keep(store, row(2, {}))
    async with store.write(["tasks"]) as unit:
        await unit.load(Wanted(["tasks"], [], []))
        async with RedisStore(redis_url, namespace=fresh_redis_namespace) as upgraded:
            with pytest.raises(CommitConflictError):
                await unit.commit(Changes(heads={"tasks": Head(9)}))
            await keep(upgraded, row(3, {}))
            assert len(await contents(upgraded)) == 3
    with pytest.raises(CommitConflictError):
        await keep(store, row(4, {}))
    assert await store._client.driver.ttl(former.former_lease) == -1
