"""Fairness between processes.

A unit that met a conflict simply begins again, and with several busy processes could do so for
ever. After some conflicts it takes leases on its collections first: commits of others give way
while they see a foreign lease. A lease only orders who goes first. It ends by itself two seconds
after its holder was last heard of, and nothing becomes wrong by that: what makes a commit safe is
the check of the revisions.
"""

import asyncio
import os
import random
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from time import monotonic
from typing import TypeAlias
from weakref import WeakKeyDictionary

from holdfast_backends.errors import StorageError, UnavailableError
from holdfast_backends.store import CommitConflictError

from .client import Argument, RedisClient, number
from .scripts import FREE_LEASE, TAKE_LEASE

LEASE_SECONDS = 2.0
_PROLONG_AFTER = 0.5  # seconds
_LONGEST = 10.0  # seconds that one holder may make all others wait
_PATIENCE = 15.0  # seconds to wait for a lease: longer than anybody may hold one
_POLL = (0.002, 0.02)  # seconds between two attempts to get one
_LONGEST_PAUSE = 0.05  # seconds


class LeasedError(CommitConflictError):
    """Another process holds a lease on what was to be changed."""


class Lease:
    """Leases that one unit holds, under one token.

    Args:
        own: the keys to take.
        others: keys that must not be another one's when these are taken.
    """

    def __init__(
        self, client: RedisClient, own: Sequence[bytes], others: Sequence[bytes] = ()
    ) -> None:
        self._client = client
        self._own = own
        self._others = others
        self._since = self._heard = monotonic()
        self.token = os.urandom(8)

    @asynccontextmanager
    async def held(self) -> AsyncIterator["Lease"]:
        """Wait for the leases, hold them, and give them back.

        Raises:
            UnavailableError: others held them for too long.
        """
        try:
            await self._take()
            yield self
        finally:
            await self._give_back()

    async def prolong(self) -> None:
        """Say that the holder is still there; without an effect after ten seconds.

        Raises:
            CommitConflictError: the lease ended, and another process has it now.
        """
        now = monotonic()
        if now - self._heard < _PROLONG_AFTER or now - self._since > _LONGEST:
            return
        if await self._try() > 0:
            raise LeasedError
        self._heard = now

    async def _take(self) -> None:
        deadline = monotonic() + _PATIENCE
        while (held_for := await self._try()) > 0:
            if monotonic() > deadline:
                raise UnavailableError("the store is too busy now")
            await asyncio.sleep(min(held_for, random.uniform(*_POLL)))  # noqa: S311 — no secret
        self._since = self._heard = monotonic()

    async def _try(self) -> float:
        keys = [*self._own, *self._others]
        arguments: list[Argument] = [self.token, int(LEASE_SECONDS * 1000), len(self._own)]
        return number(await self._client.call(TAKE_LEASE, keys, arguments)) / 1000

    async def _give_back(self) -> None:
        try:
            await self._client.call(FREE_LEASE, self._own, [self.token])
        except StorageError:
            return  # then it ends by itself: that is what a lease is for


_Task: TypeAlias = "asyncio.Task[object]"


class Conflicts:
    """How many conflicts in a row each task has met: it begins the same unit again and again."""

    def __init__(self) -> None:
        self._counts: WeakKeyDictionary[_Task, int] = WeakKeyDictionary()

    def count(self) -> int:
        """How many this task has met since it last came through."""
        task = asyncio.current_task()
        return 0 if task is None else self._counts.get(task, 0)

    async def pause(self) -> None:
        """After a conflict, let the others get out of the way: a short time, never the same."""
        met = self.count()
        if met:
            longest = min(0.001 * 2**met, _LONGEST_PAUSE)
            await asyncio.sleep(random.uniform(0, longest))  # noqa: S311 — no secret

    @contextmanager
    def watched(self, lease_after: int) -> Iterator[None]:
        """Count the conflict that ends this block, or forget the earlier ones.

        Who met a foreign lease queues for one at once: the count becomes `lease_after`.
        """
        met = self.count()
        self._set(0)
        try:
            yield
        except LeasedError:
            self._set(max(met + 1, lease_after))
            raise
        except CommitConflictError:
            self._set(met + 1)
            raise

    def _set(self, count: int) -> None:
        task = asyncio.current_task()
        if task is None:
            return
        if count:
            self._counts[task] = count
        else:
            self._counts.pop(task, None)
