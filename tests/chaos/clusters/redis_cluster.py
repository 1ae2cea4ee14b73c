"""A Redis Cluster: three masters, and a replica of each."""

import asyncio
import shutil
from asyncio import gather
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from redis.crc import key_slot
from redis.exceptions import RedisError

from tests.chaos.clusters.redis_nodes import PASSWORD, REPLICATED, RedisNode, until
from tests.missing import missing

_SLOTS = 16_384


@dataclass(frozen=True)
class Known:
    """What a node knows of one: CLUSTER NODES tells it as a line."""

    identity: str
    port: int
    flags: frozenset[str]
    master: str
    is_linked: bool
    slots: Sequence[str]

    @property
    def is_master(self) -> bool:
        """A master that is alive, as far as the node knows."""
        return "master" in self.flags and not self.flags & {"fail", "fail?"}

    def serves(self, slot: int) -> bool:
        """Whether a slot is its own."""
        spans = (span.partition("-") for span in self.slots if not span.startswith("["))
        return any(int(low) <= slot <= int(high or low) for low, _, high in spans)


class RedisClusterNodes:
    """Six nodes."""

    def __init__(self, nodes: Sequence[RedisNode]) -> None:
        self.nodes = nodes

    @property
    def url(self) -> str:
        """The URL of a store there; it names three of the nodes."""
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes[1:4])
        return f"redis+cluster://:{PASSWORD}@{hosts}/"

    @property
    def address(self) -> str:
        """A node's address for redis-cli."""
        return f"127.0.0.1:{self.nodes[0].port}"

    def node(self, port: int) -> RedisNode:
        """The one on a port."""
        return next(node for node in self.nodes if node.port == port)

    async def known(self, by: RedisNode | None = None) -> list[Known]:
        """What a node that runs knows of all."""
        asked = by or next(node for node in self.nodes if node.is_running)
        told = await asked.ask("CLUSTER NODES")
        return [_known(address, facts) for address, facts in told.items()]

    async def master_of(self, namespace: str) -> RedisNode:
        """Who serves a namespace."""
        slot = slot_of(namespace)
        (found,) = [one for one in await self.known() if one.is_master and one.serves(slot)]
        return self.node(found.port)

    async def replica_of(self, master: RedisNode) -> RedisNode:
        """Who may take its place."""
        every = await self.known()
        (own,) = [one for one in every if one.port == master.port]
        (replica,) = [one for one in every if one.master == own.identity]
        return self.node(replica.port)

    async def other_master(self, master: RedisNode) -> RedisNode:
        """One that serves other slots."""
        every = await self.known()
        return self.node(
            next(one.port for one in every if one.is_master and one.port != master.port)
        )

    async def switched(self, namespace: str, former: RedisNode, seconds: float = 30) -> RedisNode:
        """Wait until all nodes that run agree that another one serves a namespace."""
        slot = slot_of(namespace)

        async def is_so() -> bool:
            views = [await self.known(node) for node in self.nodes if node.is_running]
            served = [
                [one.port for one in view if one.is_master and one.serves(slot)] for view in views
            ]
            return all(len(ports) == 1 and ports != [former.port] for ports in served)

        await until(is_so, seconds, "another node serves the namespace")
        return await self.master_of(namespace)

    async def settled(self, seconds: float = 40) -> None:
        """Wait until all nodes that run see every slot served, and replicas are in step."""

        async def is_so() -> bool:
            try:
                for node in self.nodes:
                    if node.is_running and not await _is_well(node):
                        return False
            except RedisError:
                return False
            return True

        await until(is_so, seconds, "the cluster is well")

    async def move_slot(self, namespace: str, source: RedisNode, target: RedisNode) -> None:
        """Move a namespace's slot, key by key, as `redis-cli --cluster reshard` does."""
        slot, every = slot_of(namespace), await self.known()
        identities = {one.port: one.identity for one in every}
        await target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", identities[source.port])
        await source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", identities[target.port])
        while keys := await source.ask("CLUSTER", "GETKEYSINSLOT", slot, 1):
            away = ("MIGRATE", "127.0.0.1", target.port, "", 0, 5_000, "AUTH", PASSWORD, "KEYS")
            await source.ask(*away, *keys)
        for node in (target, source, *self.nodes):
            if node.is_running:
                await self._hand_over(node, slot, identities[target.port])

    async def _hand_over(self, node: RedisNode, slot: int, identity: str) -> None:
        if any(one.is_master and one.port == node.port for one in await self.known(node)):
            await node.ask("CLUSTER", "SETSLOT", slot, "NODE", identity)


def slot_of(namespace: str) -> int:
    """The slot of all keys of a namespace."""
    return key_slot(b"{" + namespace.encode() + b"}")


@asynccontextmanager
async def redis_cluster(directory: Path, *options: str) -> AsyncIterator[RedisClusterNodes]:
    """A running cluster; the options are further lines of the nodes' configuration."""
    lines = (
        *REPLICATED,
        *("cluster-enabled yes", "cluster-config-file nodes.conf", "cluster-node-timeout 1500"),
        *("cluster-replica-validity-factor 0", *options),
    )
    nodes = [
        RedisNode(directory / f"node{number}", lines, password=PASSWORD) for number in range(6)
    ]
    cluster = RedisClusterNodes(nodes)
    try:
        await gather(*(node.start() for node in nodes))
        await _create(nodes)
        await cluster.settled()
        yield cluster
    finally:
        await gather(*(node.kill() for node in nodes))


async def _create(nodes: Sequence[RedisNode]) -> None:
    binary = shutil.which("redis-cli")
    if binary is None:
        missing("redis-cli is not on the path; run: scripts/services up")
    addresses = [f"127.0.0.1:{node.port}" for node in nodes]
    process = await asyncio.create_subprocess_exec(
        *(binary, "--no-auth-warning", "-a", PASSWORD, "--cluster", "create", *addresses),
        *("--cluster-replicas", "1", "--cluster-yes"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(60):
            said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, said.decode()


async def _is_well(node: RedisNode) -> bool:
    told = await node.ask("CLUSTER INFO")
    if told["cluster_state"] != "ok" or told["cluster_slots_ok"] != str(_SLOTS):
        return False
    replication = await node.facts("replication")
    return replication["role"] == "master" or replication["master_link_status"] == "up"


def _known(address: str, facts: dict[str, object]) -> Known:
    slots = facts["slots"]
    assert isinstance(slots, list)
    return Known(
        identity=str(facts["node_id"]),
        port=int(address.rpartition(":")[2]),
        flags=frozenset(str(facts["flags"]).split(",")),
        master=str(facts["master_id"]),
        is_linked=bool(facts["connected"]),
        slots=["-".join(span) for span in slots],
    )
