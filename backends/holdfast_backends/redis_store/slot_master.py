"""The master of a slot in a Redis Cluster.

redis-py's own client of a cluster is not used: it sends a command again whose answer was lost,
and its ASKING may go out on another connection than the command. All keys of a namespace are in
one slot, so at any time one server is enough, and finding it is all that a cluster asks for.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from time import monotonic
from typing import Any, TypeAlias, cast
from weakref import WeakSet

from redis.asyncio import Redis
from redis.crc import key_slot
from redis.exceptions import ResponseError

from holdfast_backends.errors import StorageError, UnavailableError

from .address import Address, Node
from .failures import FAMILIES, RefusedError
from .masters import Follower, to_ask

_GOSSIP_SECONDS = 1.0
"""For how long a redirection is believed more than what other nodes say: they hear of it late."""

_Slots: TypeAlias = Sequence[Sequence[Any]]
"""What CLUSTER SLOTS answers."""


class SlotMaster:
    """Who serves a slot of a cluster. Any node may be asked; each time another one is, so that
    one with an old view does not mislead for long."""

    can_move = True

    def __init__(self, address: Address, key: bytes, timeout: float) -> None:
        self._seeds = address.nodes
        self._known: tuple[Node, ...] = ()
        self._slot = key_slot(key)
        self._options: Mapping[str, Any] = {
            **to_ask(address, timeout),
            "username": address.username,
            "password": address.password,
        }
        self._tasks: set[asyncio.Task[_Slots | Exception]] = set()
        self._turn = 0
        self._told: tuple[Node, float] | None = None
        self.latest: Node | None = None
        self.followers: WeakSet[Follower] = WeakSet()

    async def find(self) -> Node:
        """See Master."""
        if self._told is not None and monotonic() < self._told[1]:
            return self._told[0]
        failure: Exception | None = None
        for node in self._candidates():
            slots = await self._told_by(node)
            if isinstance(slots, Exception):
                failure = slots
                continue
            owner = self._owner(slots, node)
            if owner is not None:
                self.latest = owner
                return owner
        if failure is None:
            text = "no node of the Redis Cluster serves this namespace now"
            raise RefusedError(UnavailableError(text))
        if isinstance(failure, ResponseError) and "cluster support disabled" in str(failure):
            text = "this server is no Redis Cluster: begin the URL with redis://"
            raise RefusedError(StorageError(text)) from failure
        raise failure

    def redirected(self, node: Node) -> None:
        """See Master."""
        self._told = (node, monotonic() + _GOSSIP_SECONDS)
        self.latest = node

    async def close(self) -> None:
        """See Master; each connection is closed as soon as it was asked by."""
        await asyncio.gather(*self._tasks)

    def _candidates(self) -> list[Node]:
        every = list(dict.fromkeys((*self._known, *self._seeds)))
        self._turn += 1
        first = self._turn % len(every)
        return every[first:] + every[:first]

    async def _told_by(self, node: Node) -> _Slots | Exception:
        # A task of its own: whoever is cancelled here leaves no open connection behind.
        task = asyncio.get_running_loop().create_task(self._ask(node))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    async def _ask(self, node: Node) -> _Slots | Exception:
        host, port = node
        try:
            async with Redis(host=host, port=port, **self._options) as client:
                ask = cast(Callable[..., Awaitable[_Slots]], client.execute_command)
                return await ask("CLUSTER", "SLOTS")
        except FAMILIES as error:
            return error

    def _owner(self, slots: _Slots, asked: Node) -> Node | None:
        """Each entry is: first slot, last slot, the master, replicas; a server is: host, port, …"""
        self._known = tuple(
            dict.fromkeys(_node(server, asked) for _, _, *servers in slots for server in servers)
        )
        for first, last, master, *_replicas in slots:
            if first <= self._slot <= last:
                return _node(master, asked)
        return None


def _node(server: Sequence[Any], asked: Node) -> Node:
    """A server of a slot; without a host it is reached where the asked one is."""
    host, port = server[0], server[1]
    return (host.decode() if host else asked[0]), int(port)
