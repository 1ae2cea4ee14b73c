"""Whom Redis Sentinels call the master.

What most of them say counts. redis-py's own Sentinel believes the first that answers, and reads
SENTINEL MASTERS, where the one that leads a failover names the former master until the end.

An operator's failover leaves the former master as it is for many seconds: it takes writes, and
loses them later; a frozen one only stops to answer. So a watch looks all the time, and connections
to another one are ended.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeAlias, TypeVar, cast
from weakref import WeakSet

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from holdfast_backends.errors import StorageError, UnavailableError

from .address import Address, Node
from .failures import FAMILIES, RefusedError, translate
from .masters import Follower, to_ask

_LOOK_SECONDS = 0.5
_UNKNOWN = StorageError(
    "no sentinel knows a master of that name: look at the path of the redis+sentinel:// URL"
)
_NO_SENTINEL = StorageError(
    "a host of the redis+sentinel:// URL is no sentinel, or lets nobody ask: look at hosts, "
    "sentinel_username and sentinel_password"
)

_Vote: TypeAlias = Node | Exception
_T = TypeVar("_T")


class SentinelsMaster:
    """See Master."""

    can_move = True

    def __init__(self, address: Address, timeout: float) -> None:
        self._service = address.service
        self._sentinels = [
            Redis(
                host=host,
                port=port,
                username=address.sentinel_username,
                password=address.sentinel_password,
                **to_ask(address, timeout),
            )
            for host, port in address.nodes
        ]
        self._tasks: set[asyncio.Task[Any]] = set()
        self._watch: asyncio.Task[None] | None = None
        self.latest: Node | None = None
        self.followers: WeakSet[Follower] = WeakSet()

    async def find(self) -> Node:
        """See Master."""
        node = await self._elected()
        if node != self.latest:
            self.latest = node
            for follower in list(self.followers):
                follower.leave()
        if self._watch is None:
            self._watch = self._start(self._watching())
        return node

    def redirected(self, node: Node) -> None:
        """See Master; what the sentinels say goes before what a server says."""
        del node

    async def close(self) -> None:
        """See Master."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for sentinel in self._sentinels:
            await sentinel.aclose()

    async def _watching(self) -> None:
        """Look now and then: a connection that waits for an answer would not ask by itself."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            with suppress(*FAMILIES):  # the master may be well without sentinels
                await self.find()

    async def _elected(self) -> Node:
        """Whom most of them name, as soon as that is sure; of those that answer, otherwise."""
        votes: Counter[Node] = Counter()
        failures: list[Exception] = []
        asked = [self._start(self._vote(sentinel)) for sentinel in self._sentinels]
        for answer in asyncio.as_completed(asked):
            vote = await answer
            if isinstance(vote, Exception):
                failures.append(vote)
                continue
            votes[vote] += 1
            if votes[vote] * 2 > len(asked):
                return vote
        if votes:
            return votes.most_common(1)[0][0]
        raise _nobody(failures)

    async def _vote(self, sentinel: Redis) -> _Vote:
        ask = cast(Callable[..., Awaitable[Any]], sentinel.execute_command)
        try:
            named = await ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._service)
        except FAMILIES as error:
            return error
        if named is None:
            return RefusedError(_UNKNOWN)
        return named[0].decode(), int(named[1])

    def _start(self, work: Coroutine[Any, Any, _T]) -> "asyncio.Task[_T]":
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _nobody(failures: list[Exception]) -> RefusedError:
    """Why nobody names a master: what can be mended goes before what passes."""
    for failure in failures:
        if isinstance(failure, RefusedError):
            return failure
    for failure in failures:
        lasting = not isinstance(translate(failure), UnavailableError)
        if lasting or isinstance(failure, ResponseError):
            refusal = RefusedError(_NO_SENTINEL)
            refusal.__cause__ = failure
            return refusal
    refusal = RefusedError(UnavailableError("no sentinel can be reached now"))
    refusal.__cause__ = failures[0]
    return refusal
