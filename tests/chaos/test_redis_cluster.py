"""A Redis Cluster: the service follows its namespace from node to node by itself."""

from collections.abc import AsyncIterator, Callable
from time import monotonic

import pytest
import pytest_asyncio

from holdfast_backends.errors import UnavailableError
from holdfast_backends.redis import RedisBackend
from tests.chaos.checks.check import check
from tests.chaos.clusters.losses import Death, check_losses, lost
from tests.chaos.clusters.recovering import RECOVERY
from tests.chaos.clusters.redis_cluster import RedisClusterNodes, redis_cluster
from tests.chaos.clusters.redis_nodes import PASSWORD
from tests.chaos.clusters.redis_opening import give_up_opening, refusal
from tests.chaos.clusters.redis_remains import messages_on_disk
from tests.chaos.clusters.redis_service import MESSAGES, PATIENCE, Service, recovered, served
from tests.chaos.clusters.standing import broken
from tests.services import unique_name

pytestmark = [
    pytest.mark.amqp,
    pytest.mark.redis,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("redis-cluster"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RedisClusterNodes]:
    """Three masters, three replicas."""
    async with redis_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(cluster: RedisClusterNodes, amqp_url: str) -> AsyncIterator[Service]:
    """Two agent processes on it."""
    async with served(amqp_url, cluster.url) as service:
        yield service


async def test_a_planned_failover_loses_nothing(
    cluster: RedisClusterNodes, service: Service
) -> None:
    master = await cluster.master_of(service.namespace)
    async with service.loaded(seed=31) as load:
        await (await cluster.replica_of(master)).ask("CLUSTER", "FAILOVER")
        await cluster.switched(service.namespace, master)
        seconds = await recovered(load)
        history = await load.finish()
    assert await broken(check(history), load, service.processes) == []
    assert seconds < RECOVERY


async def test_a_slot_that_moves_to_another_master_takes_everything_along(
    cluster: RedisClusterNodes, service: Service
) -> None:
    await cluster.settled()
    source = await cluster.master_of(service.namespace)
    target = await cluster.other_master(source)
    async with service.loaded(seed=32) as load:
        await cluster.move_slot(service.namespace, source, target)
        seconds = await recovered(load)
        history = await load.finish()
    assert await cluster.master_of(service.namespace) is target
    assert await broken(check(history), load, service.processes) == []
    assert seconds < RECOVERY


async def test_a_killed_master_is_followed_by_its_replica(
    cluster: RedisClusterNodes, service: Service, record_property: Callable[[str, object], None]
) -> None:
    await cluster.settled()
    master = await cluster.master_of(service.namespace)
    async with service.loaded(seed=33) as load:
        await master.kill()
        died_at = monotonic()
        await cluster.switched(service.namespace, master)
        seconds = await recovered(load)
        death = Death(died_at, await messages_on_disk(master, service.namespace))
        await master.start()
        await load.until(MESSAGES, PATIENCE)
        history = await load.finish()
    record_property("acknowledged writes lost", len(lost(history)))
    assert await broken(check_losses(history, death), load, service.processes) == []
    assert seconds < RECOVERY


# -- what a store does there -------------------------------------------------------------------


async def test_any_node_leads_to_the_one_that_keeps_the_namespace(
    cluster: RedisClusterNodes,
) -> None:
    name = unique_name()
    for node in cluster.nodes:
        url = f"redis+cluster://:{PASSWORD}@127.0.0.1:{node.port}"
        async with RedisBackend(url, namespace=name) as backend:
            await backend.save({"n": 1})
            assert backend.capabilities.crash_safe
            assert not backend.capabilities.survives_failover
    async with RedisBackend(cluster.url, namespace=name) as backend:
        assert await backend.count() == len(cluster.nodes)


async def test_whoever_is_cancelled_while_connecting_leaves_nothing_open(
    cluster: RedisClusterNodes,
) -> None:
    await give_up_opening(cluster.url)


async def test_a_node_is_no_server_of_its_own(cluster: RedisClusterNodes) -> None:
    name = unique_name()
    master = await cluster.master_of(name)
    other = await cluster.other_master(master)
    url = f"redis://:{PASSWORD}@127.0.0.1:{other.port}/0?namespace={name}"
    await refusal(url, r"begin the URL with redis\+cluster://")


async def test_a_server_is_no_cluster(redis_url: str) -> None:
    url = redis_url.replace("redis://", "redis+cluster://")
    await refusal(url, "begin the URL with redis://")


async def test_a_wrong_password_is_refused(cluster: RedisClusterNodes) -> None:
    await refusal(cluster.url.replace(PASSWORD, "wrong"), "refuses this account")


async def test_no_node_there_is_unavailable() -> None:
    with pytest.raises(UnavailableError):
        await RedisBackend("redis+cluster://127.0.0.1:1,127.0.0.1:2").__aenter__()
