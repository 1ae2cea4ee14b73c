"""Who does what only one process may do at a time: the holder of a lock's lease."""

import uuid
from time import monotonic
from typing import Final

from holdfast_backends import Backend, ConflictError
from holdfast_backends.errors import LockNotHeldError
from holdfast_backends.operations import Acquire, Operation, Release, Renew
from holdfast_backends.outcomes import Failed, Leased

LEASE_SECONDS: Final = 5.0
_RENEW_AFTER: Final = LEASE_SECONDS / 3
_SAFETY_SECONDS: Final = 1.0


class Leadership:
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

    @property
    def is_leader(self) -> bool:
        """Whether the lease still holds, by this process's own monotonic clock. A second before
        its end it counts as ended: clocks run at different speeds, a little."""
        if self._token is None:
            return False
        return monotonic() - self._asked_at < LEASE_SECONDS - _SAFETY_SECONDS

    async def lead(self) -> bool:
        """Acquire or keep the lease; whether this process leads now.

        Raises:
            UnavailableError: the store cannot be reached.
        """
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
            return False
        self._token, self._asked_at = lease.token, asked_at
        return True

    async def resign(self) -> None:
        """Let another one lead at once."""
        if self._token is not None:
            token, self._token = self._token, None
            await self._ask(Release(self._role, token))

    async def _ask(self, operation: Operation) -> Leased | None:
        """The lease; None where another one holds it."""
        (outcome,) = await self._backend.execute([operation])
        if isinstance(outcome, Leased):
            return outcome
        if isinstance(outcome, Failed):
            if isinstance(outcome.error, (ConflictError, LockNotHeldError)):
                return None
            raise outcome.error
        raise TypeError(f"no answer of a lock: {type(outcome).__name__}")
