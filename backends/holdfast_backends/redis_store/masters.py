"""Who is the master: the server that keeps a namespace and takes its writes now.

redis-py's own client of a Redis Cluster is not used to run anything: it sends a command again
whose answer was lost, and its ASKING may go out on another connection than the command. All keys
of a namespace are in one slot, so at any time one server is enough, and finding it is all that
a cluster asks for.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from time import monotonic
from typing import Any, Protocol, cast

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import MasterNotFoundError, Sentinel
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.exceptions import ResponseError

from holdfast_backends.errors import StorageError, UnavailableError

from .address import Address, Kind, Node
from .failures import FAMILIES, RefusedError

_GOSSIP_SECONDS = 1.0
"""For how long a redirection is believed more than what other nodes say: they hear of it late."""
_ASKING_SECONDS = 2.0
"""How long a sentinel or a node is waited for, at most: there are others to be asked."""


class Master(Protocol):
    """Finds the master.

    Args of it: `can_move`, whether another server may take its place; `latest`, whom it found
    last, None at first.
    """

    can_move: bool
    latest: Node | None

    async def find(self) -> Node:
        """Who it is now, as far as anybody knows.

        Raises:
            RefusedError: nobody knows; it says what to do.
            RedisError: nobody can be asked.
        """
        ...

    def redirected(self, node: Node) -> None:
        """A node says that it is this one."""
        ...

    async def close(self) -> None:
        """Close what it asks by."""
        ...


def master_of(address: Address, key: bytes, timeout: float) -> Master:
    """Whom to look for.

    Args:
        key: any key of the namespace.
        timeout: seconds to wait for an answer.
    """
    match address.kind:
        case Kind.SERVER:
            return OneServer(address.nodes[0])
        case Kind.SENTINELS:
            return SentinelsMaster(address, min(timeout, _ASKING_SECONDS))
        case Kind.CLUSTER:
            return SlotMaster(address, key_slot(key), min(timeout, _ASKING_SECONDS))


class OneServer:
    """There is one, and it never moves."""

    can_move = False

    def __init__(self, node: Node) -> None:
        self._node = node
        self.latest: Node | None = node

    async def find(self) -> Node:
        """See Master."""
        return self._node

    def redirected(self, node: Node) -> None:
        """See Master; a node of a cluster, which a URL of one server does not lead through.

        Raises:
            RefusedError: always.
        """
        del node
        text = "this server is a node of a Redis Cluster: begin the URL with redis+cluster://"
        raise RefusedError(StorageError(text))

    async def close(self) -> None:
        """See Master."""


class SentinelsMaster:
    """Whom the sentinels call the master of a service."""

    can_move = True

    def __init__(self, address: Address, timeout: float) -> None:
        self._service = address.service
        self._sentinel = cast(Callable[..., Sentinel], Sentinel)(
            list(address.nodes),
            sentinel_kwargs={
                **_patience(timeout),
                "username": address.sentinel_username,
                "password": address.sentinel_password,
                "ssl": address.encrypted,
            },
        )
        self.latest: Node | None = None

    async def find(self) -> Node:
        """See Master."""
        try:
            discover = cast(Callable[[str], Awaitable[Node]], self._sentinel.discover_master)
            host, port = await discover(self._service)
        except MasterNotFoundError as error:
            text = (
                "no sentinel tells of a master now; if that lasts, look at hosts, name and "
                "sentinel_password in the URL"
            )
            raise RefusedError(UnavailableError(text)) from error
        except ResponseError as error:
            text = "a host of the redis+sentinel:// URL is no sentinel, or lets nobody ask"
            raise RefusedError(StorageError(text)) from error
        self.latest = (host, port)
        return self.latest

    def redirected(self, node: Node) -> None:
        """See Master; whom the sentinels mean goes before what a server says."""
        del node

    async def close(self) -> None:
        """See Master."""
        await self._sentinel.aclose()


class SlotMaster:
    """Who serves a slot of a cluster. Any node may be asked; each time another one is, so that
    one with an old view does not mislead for long."""

    can_move = True

    def __init__(self, address: Address, slot: int, timeout: float) -> None:
        self._seeds = address.nodes
        self._known: tuple[Node, ...] = ()
        self._slot = slot
        self._options: Mapping[str, Any] = {
            **_patience(timeout),
            "username": address.username,
            "password": address.password,
            "ssl": address.encrypted,
        }
        self._turn = 0
        self._told: tuple[Node, float] | None = None
        self.latest: Node | None = None

    async def find(self) -> Node:
        """See Master."""
        if self._told is not None and monotonic() < self._told[1]:
            return self._told[0]
        failure: Exception | None = None
        for node in self._candidates():
            try:
                owner = self._owner(await self._slots(node), node)
            except FAMILIES as error:
                failure = error
                continue
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
        """See Master; a connection is closed as soon as it was asked by."""

    def _candidates(self) -> list[Node]:
        every = list(dict.fromkeys((*self._known, *self._seeds)))
        self._turn += 1
        first = self._turn % len(every)
        return every[first:] + every[:first]

    async def _slots(self, node: Node) -> Sequence[Sequence[Any]]:
        host, port = node
        async with Redis(host=host, port=port, **self._options) as client:
            ask = cast(Callable[..., Awaitable[Any]], client.execute_command)
            reply: Sequence[Sequence[Any]] = await ask("CLUSTER", "SLOTS")
            return reply

    def _owner(self, slots: Sequence[Sequence[Any]], asked: Node) -> Node | None:
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


def _patience(timeout: float) -> dict[str, Any]:
    return {
        "protocol": 2,
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "retry": Retry(NoBackoff(), 0),
    }
