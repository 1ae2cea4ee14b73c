"""Redis behind sentinels: the service follows the master by itself; what that may cost."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from time import monotonic

import pytest
import pytest_asyncio

from holdfast_backends.errors import UnavailableError, UnsafeStoreError
from holdfast_backends.redis import RedisBackend
from tests.chaos.checks.check import check
from tests.chaos.clusters.losses import Death, check_losses, lost
from tests.chaos.clusters.recovering import RECOVERY
from tests.chaos.clusters.redis_opening import give_up_opening, refusal
from tests.chaos.clusters.redis_remains import messages_on_disk
from tests.chaos.clusters.redis_sentinels import SERVICE, SentinelGroup, sentinel_group
from tests.chaos.clusters.redis_service import MESSAGES, PATIENCE, Service, recovered, served
from tests.chaos.clusters.standing import broken
from tests.services import unique_name

pytestmark = [
    pytest.mark.amqp,
    pytest.mark.redis,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("redis-sentinels"),
]

PAUSED = 8_000  # milliseconds in which an operator's failover must have come to its end


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def group(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SentinelGroup]:
    """A master, two replicas, three sentinels."""
    async with sentinel_group(tmp_path_factory.mktemp("sentinels")) as group:
        yield group


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(group: SentinelGroup, amqp_url: str) -> AsyncIterator[Service]:
    """Two agent processes on it."""
    async with served(amqp_url, group.url) as service:
        yield service


async def test_a_killed_master_is_followed_by_another_one(
    group: SentinelGroup, service: Service, record_property: Callable[[str, object], None]
) -> None:
    master = await group.master()
    async with service.loaded(seed=21) as load:
        await master.kill()
        died_at = monotonic()
        await group.switched(master)
        seconds = await recovered(load)
        death = Death(died_at, await messages_on_disk(master, service.namespace))
        # It comes back as the master that it was, until a sentinel tells it otherwise.
        await master.start()
        await load.until(MESSAGES, PATIENCE)
        history = await load.finish()
    record_property("acknowledged writes lost", len(lost(history)))
    assert await broken(check_losses(history, death), load, service.processes) == []
    assert seconds < RECOVERY


async def test_a_planned_failover_loses_nothing_when_writes_are_paused_before(
    group: SentinelGroup, service: Service
) -> None:
    await group.settled()
    master = await group.master()
    async with service.loaded(seed=22) as load:
        await master.ask("CLIENT", "PAUSE", PAUSED, "WRITE")
        await group.fail_over()
        await group.switched(master)
        seconds = await recovered(load)
        history = await load.finish()
    assert await broken(check(history), load, service.processes) == []
    assert seconds < RECOVERY


# -- what a store does meanwhile ---------------------------------------------------------------


async def test_a_frozen_master_is_left_and_an_unsafe_one_in_its_place_is_refused(
    group: SentinelGroup,
) -> None:
    await group.settled()
    master = await group.master()
    others = [server for server in group.servers if server is not master]
    async with RedisBackend(group.url, namespace=unique_name()) as backend:
        await backend.save({"n": 1})
        for other in others:
            await other.ask("CONFIG", "SET", "appendfsync", "everysec")
        master.send(signal.SIGSTOP)
        try:
            asking = asyncio.create_task(backend.list_all())
            await group.switched(master)
            with pytest.raises(UnavailableError):
                async with asyncio.timeout(RECOVERY):
                    await asking
            with pytest.raises(UnsafeStoreError, match="set appendfsync to always"):
                await _insist(backend)
            for other in others:
                await other.ask("CONFIG", "SET", "appendfsync", "always")
            await _insist(backend)
        finally:
            master.send(signal.SIGCONT)


async def test_a_demoted_master_answers_no_reads(group: SentinelGroup) -> None:
    await group.settled()
    master = await group.master()
    other = next(server for server in group.servers if server is not master)
    async with AsyncExitStack() as stack:
        backend = RedisBackend(group.url, namespace=unique_name(), pool_size=1)
        await stack.enter_async_context(backend)
        await backend.save({"n": 1})
        for sentinel in group.sentinels:  # so that nobody mends it, or ends connections
            sentinel.send(signal.SIGSTOP)
            stack.callback(sentinel.send, signal.SIGCONT)
        await master.ask("REPLICAOF", "127.0.0.1", other.port)
        stack.push_async_callback(master.ask, "REPLICAOF", "NO", "ONE")
        with pytest.raises(UnavailableError, match="does not serve now"):
            await backend.list_all()


async def test_whoever_is_cancelled_while_connecting_leaves_nothing_open(
    group: SentinelGroup,
) -> None:
    await give_up_opening(group.url)


# -- what is refused at opening ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("former", "present", "advice"),
    [
        (f"/{SERVICE}", "/nobody", "look at the path"),
        ("sentinel_password=", "sentinel_password=wrong-", "look at hosts, sentinel_username"),
        ("?sentinel_password=", "?namespace=", "look at hosts, sentinel_username"),
        ("redis+sentinel://:", "redis+sentinel://:wrong-", "refuses this account"),
    ],
)
async def test_what_cannot_become_right_by_waiting_says_what_to_do(
    group: SentinelGroup, former: str, present: str, advice: str
) -> None:
    error = await refusal(group.url.replace(former, present), advice)
    assert "127.0.0.1" not in error.message


async def test_a_server_is_no_sentinel(group: SentinelGroup) -> None:
    url = f"redis+sentinel://127.0.0.1:{group.servers[0].port}/{SERVICE}"
    await refusal(url, "is no sentinel")


async def test_no_sentinel_there_is_unavailable() -> None:
    with pytest.raises(UnavailableError, match="no sentinel can be reached"):
        await RedisBackend(f"redis+sentinel://127.0.0.1:1/{SERVICE}").__aenter__()


async def _insist(backend: RedisBackend) -> None:
    """A write, as soon as the store does not only ask for patience."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                await backend.save({"n": 2})
                return
            except UnavailableError:
                await asyncio.sleep(0.05)
