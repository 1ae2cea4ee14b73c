"""Who does what only one process may do at a time: the holder of a lock's lease."""

import uuid
from time import monotonic
from typing import Final, Protocol

from holdfast_backends import Backend, ConflictError
from holdfast_backends.errors import LockNotHeldError
from holdfast_backends.operations import Acquire, Inspect, Operation, Release, Renew
from holdfast_backends.outcomes import Failed, Leased

LEASE_SECONDS: Final = 5.0
_RENEW_AFTER: Final = LEASE_SECONDS / 3
_SAFETY_SECONDS: Final = 1.0
_DEAD_AFTER: Final = 2 * LEASE_SECONDS


class Leadership(Protocol):
    """Whether this process leads. Everything may raise `UnavailableError`."""

    @property
    def is_leader(self) -> bool:
        """Whether it led when it last asked, and certainly still does."""
        ...

    async def lead(self) -> bool:
        """Begin to lead, or go on; whether this process leads now."""
        ...

    async def resign(self) -> None:
        """Let another one lead at once."""
        ...


class Alone:
    """Nobody else can lead: the role is this process's own."""

    @property
    def is_leader(self) -> bool:
        """Always."""
        return True

    async def lead(self) -> bool:
        """Always."""
        return True

    async def resign(self) -> None:
        """There is nobody to lead instead."""


class Elected:
    """One candidate for a role.

    Args:
        backend: where the lock is kept, for all processes that work on it.
        role: the lock's name; the names of ours begin with `$`.
    """

    def __init__(self, backend: Backend, role: str) -> None:
        self._backend = backend
        self._role = role
        self._owner = f"relay-{uuid.uuid4().hex}"
        self._token: int | None = None
        self._asked_at = 0.0
        self._rival: tuple[Leased | None, float] = (None, 0.0)

    @property
    def is_leader(self) -> bool:
        """Whether the lease still holds, by this process's own monotonic clock. A second before
        its end it counts as ended: clocks run at different speeds, a little."""
        if self._token is None:
            return False
        return monotonic() - self._asked_at < LEASE_SECONDS - _SAFETY_SECONDS

    async def lead(self) -> bool:
        """As `Leadership.lead`."""
        if self.is_leader and monotonic() - self._asked_at < _RENEW_AFTER:
            return True
        asked_at = monotonic()
        if self._token is not None and await self._ask(
            Renew(self._role, self._token, LEASE_SECONDS)
        ):
            self._asked_at = asked_at
            return True
        self._token = None
        asked_at = monotonic()
        lease = await self._ask(Acquire(self._role, self._owner, LEASE_SECONDS))
        if lease is None:
            await self._depose()
            return False
        self._token, self._asked_at = lease.token, asked_at
        return True

    async def resign(self) -> None:
        """As `Leadership.resign`."""
        if self._token is not None:
            token, self._token = self._token, None
            await self._ask(Release(self._role, token))

    async def _depose(self) -> None:
        """End the lease of a leader that was not heard of for two leases, by this process's own
        clock: its end may lie in a future that only the leader's clock knew."""
        lease = await self._ask(Inspect(self._role))
        known, since = self._rival
        if lease is None or known is None or lease[:5] != known[:5]:
            self._rival = (lease, monotonic())
        elif monotonic() - since > _DEAD_AFTER:
            await self._ask(Release(self._role, lease.token))

    async def _ask(self, operation: Operation) -> Leased | None:
        """The lease; None where another one holds it, or nobody."""
        (outcome,) = await self._backend.execute([operation])
        if isinstance(outcome, Leased):
            return outcome
        if isinstance(outcome, Failed):
            if isinstance(outcome.error, (ConflictError, LockNotHeldError)):
                return None
            raise outcome.error
        raise TypeError(f"no answer of a lock: {type(outcome).__name__}")
