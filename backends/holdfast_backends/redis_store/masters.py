"""Who is the master: the server that keeps a namespace and takes its writes now."""

from typing import Any, Protocol
from weakref import WeakSet

from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from holdfast_backends.errors import StorageError

from .address import Address, Node
from .failures import RefusedError

_ASKING_SECONDS = 2.0
"""How long one is waited for who is asked for the master, at most: there are others to ask."""


class Follower(Protocol):
    """A connection to the master."""

    def leave(self) -> None:
        """Another one is the master now."""
        ...


class Master(Protocol):
    """Finds the master.

    Args of it: `can_move`, whether another server may take its place; `latest`, whom it found
    last, None at first; `followers`, who want to know when that changes.
    """

    can_move: bool
    latest: Node | None
    followers: WeakSet[Follower]

    async def find(self) -> Node:
        """Who it is now, as far as anybody knows.

        Raises:
            RefusedError: nobody knows; it says what to do.
            RedisError: nobody can be asked.
        """
        ...

    def redirected(self, node: Node) -> None:
        """A server says that it is this one."""
        ...

    async def close(self) -> None:
        """Close what it asks by."""
        ...


class OneServer:
    """There is one, and it never moves."""

    can_move = False

    def __init__(self, node: Node) -> None:
        self._node = node
        self.latest: Node | None = node
        self.followers: WeakSet[Follower] = WeakSet()

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


def patience(timeout: float) -> float:
    """For how many seconds one is waited for who is asked for the master."""
    return min(timeout, _ASKING_SECONDS)


def to_ask(address: Address, timeout: float) -> dict[str, Any]:
    """Options of a client that asks for the master: it waits shortly, and asks once."""
    return {
        "protocol": 2,
        "socket_timeout": patience(timeout),
        "socket_connect_timeout": patience(timeout),
        "retry": Retry(NoBackoff(), 0),
        "ssl": address.encrypted,
    }
