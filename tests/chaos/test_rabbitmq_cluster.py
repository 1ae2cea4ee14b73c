"""Three nodes of RabbitMQ, killed one by one under load: nothing is lost while two of them run."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from time import monotonic

import pytest
import pytest_asyncio

from holdfast_protocol.bus.contract import Bus, Publication, ReplyAddress
from holdfast_protocol.bus.opening import open_bus
from holdfast_protocol.errors import UnavailableError
from holdfast_protocol.logs import read_log
from tests.acceptance.serving import run_holdfast, serving
from tests.chaos.checks.check import check
from tests.chaos.clusters.rabbitmq import Node, RabbitCluster, installed, rabbit_cluster
from tests.chaos.clusters.recovering import RECOVERY, seconds_to_success
from tests.chaos.clusters.standing import broken
from tests.chaos.faults.abilities import require
from tests.chaos.forms import by_form
from tests.chaos.history import History
from tests.chaos.load.load import Load
from tests.conformance.bus.harness import Replies
from tests.missing import missing
from tests.services import unique_name

pytestmark = [pytest.mark.amqp, pytest.mark.xdist_group("rabbitmq-nodes")]

FLOWING = 15.0  # seconds: by then it is as it was; what came after the first success may have hung
PATIENCE = 120.0
ANSWERS = by_form(50, 200)  # before, between and after the deaths
CHUNKS = by_form(1_001, 10_001)
KILLS = by_form(1, 20)
LOSSES = by_form(0, 3)  # of two nodes at once


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def nodes(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RabbitCluster]:
    """Three nodes that serve."""
    require("servers")
    if not installed():
        missing("RabbitMQ's own programs, epmd or erl_call are not on this machine")
    async with rabbit_cluster(tmp_path_factory.mktemp("cluster") / "nodes") as running:
        yield running


@pytest_asyncio.fixture
async def cluster(nodes: RabbitCluster) -> RabbitCluster:
    """The same, whatever a test before has killed."""
    await nodes.restore()
    return nodes


async def test_what_was_on_the_dead_node_is_elsewhere(cluster: RabbitCluster) -> None:
    """The leader of the journal, of which every confirmed chunk is kept also when other things
    are published meanwhile, and a reply queue, which another one replaces."""
    name, node = unique_name(), cluster.nodes[1]
    others = [other for other in cluster.nodes if other is not node]
    async with open_bus(node.url, namespace=name) as bus:
        await bus.journal(b"0\n")
    assert await cluster.leader(f"{name}.journal") is node
    async with AsyncExitStack() as stack:
        asker, address, replies = await _client_at(node, cluster, name, stack)
        bus = await stack.enter_async_context(open_bus(cluster.url_of(others), namespace=name))
        consumer = await bus.consume("storage")
        before = address.address
        appending = [asyncio.create_task(_append(bus, start)) for start in range(1, CHUNKS, 100)]
        await asyncio.wait(appending, return_when=asyncio.FIRST_COMPLETED)
        await node.kill()
        await asyncio.gather(*appending)
        chunks = [chunk async for chunk in bus.read_journal()]
        assert {b"%d\n" % number for number in range(1, CHUNKS)} - set(chunks) == set()
        async with asyncio.timeout(PATIENCE):
            while address.address == before or address.generation < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            await asker.publish(Publication("storage.x", b"question", None, address.address))
            while (delivery := (await consumer.receive())[-1]).body != b"question":
                pass
            assert await bus.reply(delivery.reply_to or "", b"answer", "c")
            assert (await replies.next()).body == b"answer"


async def _client_at(
    node: Node, cluster: RabbitCluster, name: str, stack: AsyncExitStack
) -> tuple[Bus, ReplyAddress, Replies]:
    """A client of the cluster that has connected to the node: it begins with any of them."""
    while True:
        bus, replies = open_bus(cluster.url, namespace=name), Replies()
        await stack.enter_async_context(bus)
        address = await bus.open_reply_address("me", replies)
        if await cluster.leader(address.address) is node:
            return bus, address, replies


async def _append(bus: Bus, start: int) -> None:
    """So many chunks, with something else between them; again what was not confirmed."""
    for number in range(start, start + 100):
        await bus.reply(f"{bus.namespace}.reply.nobody", b"", None)
        while True:
            try:
                await bus.journal(b"%d\n" % number)
                break
            except UnavailableError:
                continue


async def test_nodes_die_and_come_back_under_load(cluster: RabbitCluster, tmp_path: Path) -> None:
    """The one that leads the agent's queue, that which leads the journal, and the third; what
    led on a node leads on another one by the time that it is back."""
    name, recoveries, flowing = unique_name(), list[float](), list[float]()
    store = f"sqlite:///{tmp_path / 'store.db'}"
    await run_holdfast("migrate", "--backend", store)
    async with AsyncExitStack() as stack:
        processes = [
            await stack.enter_async_context(
                serving(cluster.url, store, name, HOLDFAST_JOURNAL="true")
            )
            for _process in range(2)
        ]
        load = await stack.enter_async_context(Load(cluster.url, name, seed=7, workers=8))
        await load.until(ANSWERS, PATIENCE)
        for kill in range(KILLS):
            await cluster.complete()
            node = await _next_to_die(cluster, name, kill)
            await node.kill()
            killed_at = monotonic()
            recoveries.append(await seconds_to_success(load, killed_at))
            await load.until(ANSWERS, PATIENCE)
            flowing.append(monotonic() - killed_at)
            if kill < KILLS - 1:  # after the last one, two have to do
                await node.up()
                await load.until(ANSWERS, PATIENCE)
        for _loss in range(LOSSES):
            await cluster.restore()
            await _lose_two(cluster, name)
            await load.until(ANSWERS, PATIENCE)
        history = await load.finish()
        assert await broken(check(history), load, processes) == []
        missing = await _not_journaled(cluster.url, name, history)
    assert missing == set()
    assert max(recoveries) < RECOVERY
    assert max(flowing) < FLOWING


async def _lose_two(cluster: RabbitCluster, name: str) -> None:
    """Two nodes at once: the third one stops serving until one of them is back."""
    leader = await cluster.leader(f"{name}.agent.storage")
    third = next(node for node in cluster.nodes if node is not leader)
    lost = [node for node in cluster.nodes if node is not third]
    await asyncio.gather(*(node.kill() for node in lost))
    await third.refuses()
    await lost[0].up()
    await third.answers()


async def _next_to_die(cluster: RabbitCluster, name: str, kill: int) -> Node:
    """Whatever leads something dies often; nobody lives for ever."""
    agents, journal = [
        await cluster.leader(f"{name}.{queue}") for queue in ("agent.storage", "journal")
    ]
    if kill % 3 == 2:
        return next((node for node in cluster.nodes if node not in (agents, journal)), agents)
    return journal if kill % 3 else agents


async def _not_journaled(bus_url: str, name: str, history: History) -> set[str]:
    """The ids of answered messages that the journal does not hold, in the end: a message whose
    exchange was not kept is not acked, and comes again."""
    answered = {exchange.message["id"] for exchange in history.exchanges if exchange.answer}
    give_up_at = monotonic() + 15.0
    async with asyncio.timeout(PATIENCE), open_bus(bus_url, namespace=name) as bus:
        while True:
            journaled = {
                exchange.message.id
                async for chunk in bus.read_journal()
                for exchange in read_log(chunk.splitlines())
            }
            if not (missing := answered - journaled) or monotonic() > give_up_at:
                return missing
            await asyncio.sleep(0.5)
