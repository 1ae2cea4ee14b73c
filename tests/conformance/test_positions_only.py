"""A backend that keeps no events counts its changes all the same."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TypeAlias
from uuid import uuid4

import pytest

from holdfast_backends import InMemoryBackend, PostgresBackend, RedisBackend, SqliteBackend
from holdfast_backends.errors import EventsPrunedError
from holdfast_backends.operations import Save, Transaction
from holdfast_backends.testing.harness import (
    AnyBackend,
    ManualClock,
    delete,
    perform,
    save,
    save_all,
    update,
)
from holdfast_backends.testing.telling import page
from tests.conformance.stores import BACKENDS

Backends: TypeAlias = InMemoryBackend | SqliteBackend | PostgresBackend | RedisBackend


@pytest.fixture
def clock() -> ManualClock:
    """The time of the backend."""
    return ManualClock()


@pytest.fixture(params=BACKENDS)
def unopened(request: pytest.FixtureRequest, clock: ManualClock, tmp_path: Path) -> Backends:
    """An empty backend without events."""
    match request.param:
        case "memory":
            return InMemoryBackend(clock=clock, keep_events=False)
        case "sqlite":
            file = tmp_path / "quiet.db"
            shutil.copyfile(request.getfixturevalue("empty_sqlite_file"), file)
            return SqliteBackend(f"sqlite:///{file}", clock=clock, keep_events=False)
        case "postgres":
            url = request.getfixturevalue("migrated_postgres_url")
            return PostgresBackend(url, clock=clock, keep_events=False)
        case _:
            url, namespace = request.getfixturevalue("redis_place")
            own = f"{namespace}:quiet:{uuid4().hex[:8]}"
            return RedisBackend(url, namespace=own, clock=clock, keep_events=False)


@pytest.fixture
async def quiet(unopened: Backends) -> AsyncIterator[AnyBackend]:
    """The same, open."""
    async with unopened as backend:
        yield backend


async def test_changes_are_counted_and_none_is_kept(quiet: AnyBackend) -> None:
    assert (await save(quiet, {"id": 1})).sequence == 1
    assert (await update(quiet, 1, {"a": 1})).sequence == 2
    assert (await delete(quiet, 1)).sequence == 3
    assert [saved.sequence for saved in await save_all(quiet, [{}, {}])] == [4, 5]
    await perform(quiet, Transaction((Save({}), Save({}, "users"))))
    assert dict(await quiet.outbox.positions()) == {"tasks": 6, "users": 1}
    found = await page(quiet, after=6)
    assert (list(found.events), found.first_sequence, found.last_sequence) == ([], 7, 6)


async def test_nothing_waits_to_be_published(quiet: AnyBackend) -> None:
    await save_all(quiet, [{}] * 3)
    assert dict(await quiet.outbox.unpublished()) == {}


async def test_whoever_asks_for_events_is_told_where_some_could_begin(quiet: AnyBackend) -> None:
    await save_all(quiet, [{}] * 3)
    with pytest.raises(EventsPrunedError) as caught:
        await page(quiet)
    assert caught.value.first_sequence == 4


async def test_what_expires_is_swept_and_counted(quiet: AnyBackend, clock: ManualClock) -> None:
    await save(quiet, {}, ttl_seconds=1)
    clock.advance(1)
    assert await quiet.sweep() == 1
    assert dict(await quiet.outbox.positions()) == {"tasks": 2}
    assert await quiet.sweep() == 0
