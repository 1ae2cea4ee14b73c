"""Whom Redis Sentinels call the master.

What most of them say counts, and nothing else does: fewer may be cut off together with a master
that another one has replaced, and whoever writes to that one loses it; waiting loses nothing.
redis-py's own Sentinel believes the first that answers, and reads SENTINEL MASTERS, where the one
that leads a failover names the former master until the end.

An operator's failover leaves the former master as it is for many seconds: it takes writes, and
loses them later; a frozen one only stops to answer. So a watch looks all the time, and connections
to another one are ended.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeAlias, TypeVar, cast
from weakref import WeakSet

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from holdfast_backends.errors import StorageError, UnavailableError

from .address import Address, Node
from .failures import FAMILIES, RefusedError, translate
from .masters import Follower, to_ask

_log = logging.getLogger("holdfast.backends")

_LOOK_SECONDS = 0.5
_UNKNOWN = "no sentinel knows a master of that name: look at the path of the redis+sentinel:// URL"
_NO_SENTINEL = (
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
        """Look now and then: a connection that waits for an answer would not ask by itself.

        The master may be well while the sentinels are not: connections stay.
        """
        blind = False
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                await self.find()
            except Exception as error:  # noqa: BLE001 - told, and looked again
                if not blind:
                    unexpected = None if isinstance(error, FAMILIES) else error
                    _log.warning("No master is named, looking on: %s", error, exc_info=unexpected)
                blind = True
            else:
                blind = False

    async def _elected(self) -> Node:
        """Whom most of them name, as soon as that is sure."""
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
        raise _nobody(failures, len(asked))

    async def _vote(self, sentinel: Redis) -> _Vote:
        ask = cast(Callable[..., Awaitable[Any]], sentinel.execute_command)
        try:
            named = await ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._service)
        except FAMILIES as error:
            return error
        if named is None:
            return RefusedError(StorageError(_UNKNOWN))
        try:
            host, port = named
            return host.decode(), int(port)
        except (ValueError, TypeError, AttributeError) as error:
            return _no_sentinel(error)

    def _start(self, work: Coroutine[Any, Any, _T]) -> "asyncio.Task[_T]":
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _nobody(failures: list[Exception], asked: int) -> RefusedError:
    """Why most of them name nobody, or not the same.

    What can be mended is told when most say so: of those that are away nobody knows.
    """
    advice = [found for failure in failures if (found := _advice(failure)) is not None]
    if len(advice) * 2 > asked:
        return next((one for one in advice if one.refusal.message == _UNKNOWN), advice[0])
    reached = bool(advice) or len(failures) < asked
    refusal = RefusedError(
        UnavailableError(
            "most sentinels cannot be reached now, or do not name the same master"
            if reached
            else "no sentinel can be reached now"
        )
    )
    refusal.__cause__ = failures[0] if failures else None
    return refusal


def _advice(failure: Exception) -> RefusedError | None:
    """What it says about the URL; None if it may pass."""
    if isinstance(failure, RefusedError):
        return failure
    lasting = not isinstance(translate(failure), UnavailableError)
    return _no_sentinel(failure) if lasting or isinstance(failure, ResponseError) else None


def _no_sentinel(cause: Exception) -> RefusedError:
    refusal = RefusedError(StorageError(_NO_SENTINEL))
    refusal.__cause__ = cause
    return refusal
