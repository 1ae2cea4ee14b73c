"""A lock as a context manager: waited for, held, given back at the end."""

import asyncio
import logging
from collections.abc import Coroutine
from math import isfinite
from types import TracebackType
from typing import Final

from holdfast_protocol.actions import Lock
from holdfast_protocol.client.background import Background
from holdfast_protocol.client.held_lock import LONGEST_RELEASE, HeldLock, Lease
from holdfast_protocol.client.lease_clock import LeaseClock
from holdfast_protocol.client.locking import LocksClient
from holdfast_protocol.client.retrying import retry_after_of, spread
from holdfast_protocol.errors import (
    ConflictError,
    HoldfastError,
    NoRouteError,
    NotFoundError,
    OverloadedError,
    RateLimitedError,
    RequestTimeoutError,
    UnavailableError,
)
from holdfast_protocol.ids import uuid7

_log = logging.getLogger("holdfast.client")

_SHORTEST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 1.0
"""Seconds between two tries, at most: a holder may give the lock back early."""


class LockContext:
    """What `AgentClient.lock` returns: `async with client.lock("deploy") as held`.

    `wait` is how many seconds to ask again for, while somebody else holds the lock.
    """

    def __init__(
        self, locks: LocksClient, background: Background, lease: Lease, wait: float
    ) -> None:
        if not wait >= 0 or not isfinite(wait):
            raise ValueError("wait must be a number of seconds from 0")
        self._locks = locks
        self._background = background
        self._lease = lease
        self._wait = wait
        self._held: HeldLock | None = None
        self._keeping: asyncio.Task[None] | None = None

    async def __aenter__(self) -> HeldLock:
        """Wait for the lock.

        Raises:
            ConflictError: somebody else held it all the time; `details` tells who.
            HoldfastError: it could not be asked for.
        """
        if self._held is not None:
            raise RuntimeError("This context holds the lock already; a lock is not re-entrant")
        loop = asyncio.get_running_loop()
        self._held = await self._acquired(loop.time() + self._wait)
        self._keeping = loop.create_task(self._held.keep())
        return self._held

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give the lock back.

        Raises:
            ConflictError: the lock was lost before the end, and nothing else is being raised.
        """
        held, self._held = self._held, None
        keeping, self._keeping = self._keeping, None
        if held is None or keeping is None:
            return
        keeping.cancel()
        loss = held.loss() if held.lost else None
        # On its own: a cancellation of whoever leaves must not leave the lock behind.
        releasing = asyncio.get_running_loop().create_task(_released(held))
        try:
            refusal = await asyncio.shield(releasing)
        except asyncio.CancelledError:
            self._finish(_ended(releasing))
            raise
        loss = loss or refusal
        if loss is not None and exc is None:
            raise loss

    async def _acquired(self, give_up_at: float) -> HeldLock:
        loop = asyncio.get_running_loop()
        tries = 0
        while True:
            try:
                return await self._try()
            except ConflictError as error:
                tries += 1
                remaining = give_up_at - loop.time()
                if remaining <= 0:
                    raise
                pause = _pause(tries, retry_after_of(error.details))
            await asyncio.sleep(min(pause, remaining))

    async def _try(self) -> HeldLock:
        """One attempt, under an id of its own, so that it is never another's outcome."""
        loop = asyncio.get_running_loop()
        clock = LeaseClock()
        message_id, asked_at = uuid7(), clock.time()
        asking = loop.create_task(self._ask(message_id))
        try:
            lock = await asyncio.shield(asking)
        except (asyncio.CancelledError, HoldfastError) as error:
            # What is under way may still become a lease that nobody would know of.
            if _may_be_taken(error):
                self._finish(self._undo(asking, message_id))
            raise
        held = HeldLock(self._locks, self._lease, lock, clock, asked_at + self._lease.seconds)
        if held.lost:
            self._finish(self._undo(asking, message_id))
            raise held.loss()
        return held

    async def _ask(self, message_id: str) -> Lock:
        lease = self._lease
        return await self._locks.acquire(
            lease.name, lease_seconds=lease.seconds, owner=lease.owner, message_id=message_id
        )

    async def _undo(self, asking: "asyncio.Task[Lock]", message_id: str) -> None:
        try:
            try:
                lock = await asking
            except HoldfastError as error:
                if not _may_be_taken(error):
                    return
                # The same message again tells the outcome, if there is one.
                lock = await self._ask(message_id)
            await self._locks.release(lock.name, lock.token, timeout=LONGEST_RELEASE)
        except (ConflictError, NotFoundError, NoRouteError):
            pass  # it was never taken, or is free already

    def _finish(self, work: Coroutine[object, object, None]) -> None:
        self._background.start(work, f"release the lock {self._lease.name!r}")


def _may_be_taken(error: BaseException) -> bool:
    """Whether a lock may be held, now or soon, that was asked for with this end."""
    match error:
        case OverloadedError(__cause__=OverloadedError()):
            return False  # of the bus: no queue ever took the message
        case OverloadedError() | RateLimitedError():
            return True  # the answer to the last attempt, which says nothing of the others
        case asyncio.CancelledError() | RequestTimeoutError() | UnavailableError():
            return True
        case _:
            return False


async def _released(held: HeldLock) -> ConflictError | None:
    """Give it back as well as possible; the error when the lease had ended before."""
    try:
        await held.release()
    except ConflictError as error:
        return error
    except HoldfastError as error:
        _log.warning("The lock %r stays taken until its lease ends: %s", held.name, error)
    return None


async def _ended(task: "asyncio.Task[ConflictError | None]") -> None:
    await task


def _pause(tries: int, retry_after: float) -> float:
    """Seconds until the next try: soon at first, and when the holder's lease ends at the latest."""
    pause = min(_SHORTEST_PAUSE * float(1 << min(tries, 5)), _LONGEST_PAUSE)
    if 0 < retry_after < pause:
        return retry_after + _SHORTEST_PAUSE * spread()
    return pause * (0.8 + 0.2 * spread())
