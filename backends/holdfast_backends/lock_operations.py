"""What can be asked of locks: leases that end by themselves, with fencing tokens.

A lock is a row of the internal collection `LOCKS`: its version is the fencing token, which rises
with every acquisition and survives releases, as versions of records survive deletions.
Source of the idea of fencing: M. Kleppmann, "How to do distributed locking", 2016.
"""

from dataclasses import dataclass
from typing import Final, TypeAlias

from .checks import check_lease, check_lock_name, check_owner, check_token
from .encoding import record_key
from .identity import Identity
from .values import INTERNAL

LOCKS: Final = f"{INTERNAL}locks"


@dataclass(frozen=True, slots=True)
class Acquire:
    """Take a lock that nobody holds, for `lease_seconds` (above 0, at most a day)."""

    name: str
    owner: str
    lease_seconds: float
    identity: Identity | None = None

    def __post_init__(self) -> None:
        check_lock_name(self.name, ("name",))
        check_owner(self.owner)
        check_lease(self.lease_seconds)


@dataclass(frozen=True, slots=True)
class Renew:
    """Have a lease end `lease_seconds` from now; only while it has not ended."""

    name: str
    token: int
    lease_seconds: float
    identity: Identity | None = None

    def __post_init__(self) -> None:
        check_lock_name(self.name, ("name",))
        check_token(self.token, ("token",))
        check_lease(self.lease_seconds)


@dataclass(frozen=True, slots=True)
class Release:
    """Give a lock back."""

    name: str
    token: int
    identity: Identity | None = None

    def __post_init__(self) -> None:
        check_lock_name(self.name, ("name",))
        check_token(self.token, ("token",))


@dataclass(frozen=True, slots=True)
class Inspect:
    """Ask who holds a lock."""

    name: str

    def __post_init__(self) -> None:
        check_lock_name(self.name, ("name",))


LockOperation: TypeAlias = Acquire | Renew | Release | Inspect


def lock_place(name: str) -> tuple[str, bytes]:
    """Where a lock's row stands: the collection and the key."""
    return LOCKS, record_key(name)
