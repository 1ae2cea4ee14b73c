"""A lock that is held: renewed in the background, and lost when its lease ends.

Time is that of a `LeaseClock`, never the wall clock's, and a lease counts from the moment at
which it was asked for: this side always believes a lease to end earlier than the store does, also
when the machine slept meanwhile (on Linux; elsewhere a sleep may hide the end of a lease, which
only `fence` makes up for).
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from holdfast_protocol.actions import Fence, Lock
from holdfast_protocol.client.lease_clock import LeaseClock
from holdfast_protocol.client.locking import LocksClient
from holdfast_protocol.client.retrying import backoff, retry_after_of, spread
from holdfast_protocol.errors import ConflictError, HoldfastError, NotFoundError

LONGEST_RELEASE: Final = 10.0
"""Seconds that giving a lock back may take; after that its lease may as well end by itself."""
_RENEWALS_PER_LEASE: Final = 3
_SHORTEST_PAUSE: Final = 0.05
_LONGEST_SLEEP: Final = 5.0
"""Seconds until it is noticed that the machine slept, as the loop's timers do not."""


@dataclass(frozen=True, slots=True)
class Lease:
    """What is asked for. `seconds` is its length, `owner` only tells people who holds it."""

    name: str
    seconds: float
    owner: str | None
    renew: bool


class HeldLock:
    """A lock that is held, as long as `lost` is false.

    Hand `fence` to every write that must not happen once somebody else holds the lock: this
    process may learn too late that it lost it, the store does not.
    """

    def __init__(
        self, locks: LocksClient, lease: Lease, lock: Lock, clock: LeaseClock, valid_until: float
    ) -> None:
        self._locks = locks
        self._lease = lease
        self._lock = lock
        self._valid_until = valid_until
        self._clock = clock
        self._lost = asyncio.Event()
        self._cause: HoldfastError | None = None

    @property
    def name(self) -> str:
        """The name of the lock."""
        return self._lock.name

    @property
    def token(self) -> int:
        """The fencing token: larger than that of every earlier holder."""
        return self._lock.token

    @property
    def expires_at(self) -> datetime:
        """When the lease ends, by the store's clock, unless it is renewed."""
        return self._lock.expires_at

    @property
    def fence(self) -> Fence:
        """For the `fence` of a write, which is then refused once the lease does not hold."""
        return Fence(lock=self._lock.name, token=self._lock.token)

    @property
    def lost(self) -> bool:
        """Whether somebody else may hold it now: the lease ended, or the store said so."""
        return self._lost.is_set() or self._clock.time() >= self._valid_until

    @property
    def seconds_left(self) -> float:
        """How long the lease surely holds without another renewal; 0 when it is lost."""
        return 0.0 if self.lost else self._valid_until - self._clock.time()

    async def wait_lost(self) -> None:
        """Until the lock is lost, which may be never: to be cancelled."""
        await self._lost.wait()

    async def renew(self) -> None:
        """Let the lease begin anew. Needed only where it does not renew itself.

        Raises:
            ConflictError: the lock is lost.
            HoldfastError: it could not be renewed now; it is held until the lease ends.
        """
        if self.lost:
            raise self.loss()
        asked_at = self._clock.time()
        try:
            self._lock = await self._locks.renew(
                self.name,
                self.token,
                lease_seconds=self._lease.seconds,
                timeout=self._valid_until - asked_at,
            )
        except (ConflictError, NotFoundError) as error:
            raise self._lose(error) from error
        self._valid_until = max(self._valid_until, asked_at + self._lease.seconds)

    async def keep(self) -> None:
        """Renew the lease when it is time, until it is lost. Runs beside the lock's user."""
        failures = 0
        pause = interval = self._lease.seconds / _RENEWALS_PER_LEASE
        while not self.lost:
            left = self._valid_until - self._clock.time()
            if not self._lease.renew:
                await self._sleep(left)
                continue
            await self._sleep(min(pause, max(left / 2, _SHORTEST_PAUSE)))
            try:
                await self.renew()
            except ConflictError:
                break
            except HoldfastError as error:
                self._cause = error
                failures += 1
                pause = backoff(failures, spread(), retry_after_of(error.details))
            else:
                self._cause = None
                failures, pause = 0, interval
        self._lost.set()

    async def _sleep(self, seconds: float) -> None:
        """As long by the lease's clock, or until the lease ended."""
        until = self._clock.time() + seconds
        while (left := until - self._clock.time()) > 0 and not self.lost:  # noqa: ASYNC110
            await asyncio.sleep(min(left, _LONGEST_SLEEP))

    async def release(self) -> None:
        """Give the lock back; from now on it counts as lost.

        Raises:
            ConflictError: the lease had ended before.
            HoldfastError: it could not be released now; the lease ends by itself.
        """
        timeout = min(max(self._valid_until - self._clock.time(), 1.0), LONGEST_RELEASE)
        self._lost.set()
        try:
            await self._locks.release(self.name, self.token, timeout=timeout)
        except (ConflictError, NotFoundError) as error:
            raise self._lose(error) from error

    def loss(self) -> ConflictError:
        """The error that says that the lock was lost, and why."""
        error = ConflictError(
            f"The lock {self.name!r} was lost: its lease ended before it was released",
            {"lock": self.name, "token": self.token},
        )
        error.__cause__ = self._cause
        return error

    def _lose(self, cause: HoldfastError) -> ConflictError:
        self._cause = cause
        self._lost.set()
        return self.loss()
