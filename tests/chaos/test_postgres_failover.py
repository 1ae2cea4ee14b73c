"""PostgreSQL's primary dies under load and its standby takes over: nothing that was acknowledged
is lost, and the service goes on by itself."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress

import pytest
import pytest_asyncio

from holdfast_backends import PostgresBackend, UnavailableError
from holdfast_backends.identity import Identity
from holdfast_backends.operations import Save
from holdfast_backends.outcomes import Saved
from tests.acceptance.serving import run_holdfast, serving
from tests.chaos.checks.check import check
from tests.chaos.clusters.postgres import Pair, pair_of_servers
from tests.chaos.clusters.recovering import RECOVERY, seconds_to_success
from tests.chaos.clusters.standing import broken
from tests.chaos.forms import by_form
from tests.chaos.load.load import Load
from tests.services import unique_name

pytestmark = [pytest.mark.amqp, pytest.mark.postgres, pytest.mark.xdist_group("postgres-pair")]

PATIENCE = 60.0
SHORT = 1.5  # seconds in which a commit that can happen has happened
FAILOVERS = by_form(2, 20)  # there and back
MESSAGES = 300  # before, between and after the failovers


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def servers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pair]:
    """A primary and its synchronous standby, with a schema."""
    async with pair_of_servers(tmp_path_factory.mktemp("pair")) as pair:
        await run_holdfast("migrate", "--backend", pair.url)
        yield pair


@pytest_asyncio.fixture
async def pair(servers: Pair) -> Pair:
    """The same, whatever a test before has made of it."""
    await servers.restore()
    return servers


async def test_a_failover_and_one_back_lose_nothing_and_need_nobody(
    pair: Pair, fresh_amqp_url: str
) -> None:
    name, recoveries = unique_name(), list[float]()
    async with AsyncExitStack() as stack:
        processes = [
            await stack.enter_async_context(serving(fresh_amqp_url, pair.url, name))
            for _process in range(2)
        ]
        load = await stack.enter_async_context(Load(fresh_amqp_url, name, seed=11))
        await load.until(MESSAGES, PATIENCE)
        for _failover in range(FAILOVERS):
            await pair.primary.kill()
            back = await pair.promote()
            # While the former primary stays down …
            await load.until(MESSAGES, PATIENCE)
            recoveries.append(await seconds_to_success(load, back))
            # … and when it is there again, as a standby that answers to the same address.
            await pair.rejoin()
            await load.until(MESSAGES, PATIENCE)
        history = await load.finish()
        assert await broken(check(history), load, processes) == []
    assert max(recoveries) < RECOVERY


# -- what is committed on one server only ------------------------------------------------------

WAITING = " FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
OURS = " FROM pg_stat_activity WHERE application_name = 'holdfast'"


async def _saved(backend: PostgresBackend, name: str, collection: str | None = None) -> Saved:
    """What one message is answered, each time that it comes."""
    save = Save({"n": 1}, collection or name, identity=Identity("me", name, b"digest"))
    (outcome,) = await backend.execute([save])
    assert isinstance(outcome, Saved)
    return outcome


async def _saved_at_last(
    backend: PostgresBackend, name: str, collection: str | None = None
) -> Saved:
    while True:
        with suppress(UnavailableError):
            return await _saved(backend, name, collection)


async def test_what_no_standby_has_is_not_acknowledged_also_when_it_is_asked_again(
    pair: Pair,
) -> None:
    name = unique_name()
    async with PostgresBackend(pair.url) as backend:
        assert backend.capabilities.survives_failover
        await pair.standby.kill()
        asking = asyncio.create_task(_saved(backend, name))
        # Its wait is ended: it is committed and can be seen, and is on one server only.
        await pair.until("SELECT pg_terminate_backend(pid)" + WAITING)
        with pytest.raises(UnavailableError):
            await asking
        await pair.until(f"SELECT 1 FROM holdfast_records WHERE collection = '{name}'")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(SHORT):
                await _saved(backend, name)
    await pair.primary.kill()  # which ends a wait, too
    await pair.primary.start()
    async with PostgresBackend(pair.url) as backend:
        asking = asyncio.create_task(_saved(backend, name))
        await pair.until("SELECT 1" + WAITING)
        await pair.standby.start()
        async with asyncio.timeout(PATIENCE):
            outcome = await asking
    assert outcome.record.version == 1
    await pair.primary.kill()
    await pair.promote()
    async with PostgresBackend(pair.url) as backend:
        assert (await _saved(backend, name)).record == outcome.record


async def test_a_former_primary_that_comes_back_as_it_was_acknowledges_nothing(
    pair: Pair,
) -> None:
    former, name = pair.primary, unique_name()
    async with PostgresBackend(pair.url) as backend, asyncio.timeout(PATIENCE):
        await former.kill()
        await pair.promote()
        outcome = await _saved_at_last(backend, name)
        await former.start()
        # Whoever met the new primary goes on there, also with new connections.
        await pair.primary.ask("SELECT pg_terminate_backend(pid)" + OURS)
        assert (await _saved_at_last(backend, name)).record == outcome.record
    async with PostgresBackend(former.url) as lost:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(SHORT):
                await _saved(lost, name)


# -- what asynchronous replication costs -------------------------------------------------------


async def test_what_had_not_arrived_is_lost_and_what_is_remembered_of_it_does_no_harm(
    pair: Pair,
) -> None:
    name = unique_name()
    async with PostgresBackend(pair.url) as backend, asyncio.timeout(PATIENCE):
        kept = [await _saved(backend, f"{name}-{n}", name) for n in range(3)]
        await pair.wait_for_standbys("")
        await pair.standby.kill()
        lost = [await _saved(backend, f"{name}-{n}", name) for n in range(3, 6)]
        await pair.primary.kill()
        await pair.standby.start()
        await pair.promote()
        # The backend remembers a head of six changes; the store has three.
        again = await _saved_at_last(backend, f"{name}-new", name)
        assert again.record.key == lost[0].record.key
        assert again.sequence == lost[0].sequence
        # A message that was answered is executed again, in the order of its coming.
        late = await _saved(backend, f"{name}-3", name)
        assert late.record.key == lost[1].record.key
        assert not late.replayed
        assert (await _saved(backend, f"{name}-2", name)).record == kept[2].record
