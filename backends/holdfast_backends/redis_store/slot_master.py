"""The master of a slot in a Redis Cluster.

redis-py's own client of a cluster is not used: it sends a command again whose answer was lost,
and its ASKING may go out on another connection than the command. All keys of a namespace are in
one slot, so at any time one server is enough, and finding it is all that a cluster asks for.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from time import monotonic
from typing import Any, TypeAlias, cast
from weakref import WeakSet

from redis.asyncio import Redis
from redis.crc import key_slot
from redis.exceptions import InvalidResponse, ResponseError

from holdfast_backends.errors import StorageError, UnavailableError

from .address import Address, Node
from .failures import FAMILIES, RefusedError, translate
from .masters import Follower, patience, to_ask

_GOSSIP_SECONDS = 1.0
"""For how long a redirection is believed more than what other nodes say: they hear of it late."""

_ALONE_SECONDS = 0.25
"""For how long the first node is asked alone: most times it is enough."""

_Slots: TypeAlias = Sequence[tuple[int, int, Sequence[Node]]]
"""Of each range of slots the first, the last, and the servers: the master, then its replicas."""


class SlotMaster:
    """Who serves a slot of a cluster. Any node may be asked; each time another one is, so that
    one with an old view does not mislead for long."""

    can_move = True

    def __init__(self, address: Address, key: bytes, timeout: float) -> None:
        self._seeds = address.nodes
        self._known: tuple[Node, ...] = ()
        self._slot = key_slot(key)
        self._patience = patience(timeout)
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
        failures: list[Exception] = []
        async with aclosing(self._answers()) as answers:
            async for answer in answers:
                owner = answer if isinstance(answer, Exception) else self._owner(answer)
                if not isinstance(owner, Exception):
                    self.latest = owner
                    return owner
                failures.append(owner)
        raise max(failures, key=_told)

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

    async def _answers(self) -> AsyncGenerator[_Slots | Exception, None]:
        """What the nodes say, as it comes: of one, and of all others when that was not enough."""
        first, *others = self._candidates()
        asked, waiting = await asyncio.wait({self._start(first)}, timeout=_ALONE_SECONDS)
        for task in asked:
            yield task.result()
        waiting |= {self._start(node) for node in others}
        while waiting:
            asked, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in asked:
                yield task.result()

    def _start(self, node: Node) -> "asyncio.Task[_Slots | Exception]":
        # A task of its own: whoever is cancelled here leaves no open connection behind.
        task = asyncio.get_running_loop().create_task(self._ask(node))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _ask(self, node: Node) -> _Slots | Exception:
        host, port = node
        try:
            # One bound for connecting, entering and asking together.
            async with (
                asyncio.timeout(self._patience),
                Redis(host=host, port=port, **self._options) as client,
            ):
                ask = cast(Callable[..., Awaitable[Any]], client.execute_command)
                return _read(await ask("CLUSTER", "SLOTS"), node)
        except ResponseError as error:
            return _alone(error) if "cluster support disabled" in str(error) else error
        except FAMILIES as error:
            return error

    def _owner(self, slots: _Slots) -> Node | RefusedError:
        self._known = tuple(dict.fromkeys(node for _, _, nodes in slots for node in nodes))
        for first, last, nodes in slots:
            if first <= self._slot <= last:
                return nodes[0]
        text = "no node of the Redis Cluster serves this namespace now"
        return RefusedError(UnavailableError(text))


def _told(failure: Exception) -> int:
    """How much a failure says about what is to be done."""
    if not isinstance(translate(failure), UnavailableError):
        return 2
    return 1 if isinstance(failure, (RefusedError, ResponseError)) else 0


def _alone(error: ResponseError) -> RefusedError:
    text = "this server is no Redis Cluster: begin the URL with redis://"
    refusal = RefusedError(StorageError(text))
    refusal.__cause__ = error
    return refusal


def _read(answer: Any, asked: Node) -> _Slots:
    """Each entry is: first slot, last slot, the master, replicas; a server is: host, port, …"""
    try:
        return [
            (int(first), int(last), [_node(server, asked) for server in (master, *replicas)])
            for first, last, master, *replicas in answer
        ]
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise InvalidResponse("this is no answer to CLUSTER SLOTS") from error


def _node(server: Sequence[Any], asked: Node) -> Node:
    """A server of a slot; without a host it is reached where the asked one is."""
    host, port = server[0], server[1]
    return (host.decode() if host else asked[0]), int(port)
