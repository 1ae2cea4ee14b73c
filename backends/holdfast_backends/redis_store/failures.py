"""The one place where redis-py's exceptions become ours.

What each means for a commit:

- A lost or late connection leaves it unknown: `UnavailableError`.
- A server that does not serve now (LOADING, READONLY, MASTERDOWN, TRYAGAIN, CLUSTERDOWN, BUSY,
  MISCONF, NOREPLICAS), or no longer this namespace (MOVED, ASK), refused before it changed
  anything: `UnavailableError` too, because waiting helps.
- What we ourselves refuse while a connection is made is a `RefusedError`, which holds our error.
- OOM is a plain `StorageError`: nothing was changed, and waiting does not help, deleting does
  (a commit that only deletes still works, see `unit.py`).
- Refused credentials or permissions, and everything else, is a plain `StorageError`.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from redis import exceptions

from holdfast_backends.errors import StorageError, UnavailableError

_WAITING_HELPS = frozenset(
    {
        "ASK",
        "BUSY",
        "CLUSTERDOWN",
        "LOADING",
        "MASTERDOWN",
        "MISCONF",
        "MOVED",
        "NOREPLICAS",
        "READONLY",
        "TRYAGAIN",
    }
)
_REFUSED = frozenset({"NOAUTH", "NOPERM", "WRONGPASS", "DENIED"})
_FULL = frozenset({"OOM"})
# What a command inside a script may not do is told in words only.
_REFUSED_WORDS = ("ACL failure", "can't run this command", "can't access at least one of the keys")
# Redis 6.2 wraps the error of a script's command: "ERR Error running script …: -OOM command …".
_CODE = re.compile(r"(?:^|[\s:@]-)([A-Z]{3,})(?= )")

FAMILIES = (
    exceptions.RedisError,
    exceptions.RedisClusterException,
    exceptions.ChildDeadlockedError,
    exceptions.IncorrectPolicyType,
    OSError,
)
"""Everything that can come out of redis-py; its exceptions have no one root."""


class RefusedError(exceptions.RedisError):
    """Ours, raised where redis-py opens a connection: it cleans up after errors of its own root."""

    def __init__(self, refusal: StorageError) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


_NOT_NOW = (
    exceptions.AskError,
    exceptions.BusyLoadingError,
    exceptions.ClusterDownError,
    exceptions.MasterDownError,
    exceptions.ReadOnlyError,
    exceptions.TryAgainError,
)
_NO_ACCESS = (
    exceptions.AuthenticationError,
    exceptions.AuthenticationWrongNumberOfArgsError,
    exceptions.AuthorizationError,
    exceptions.NoPermissionError,
)


def translate(error: Exception) -> StorageError:
    """Our error for one of the driver's, or of the operating system's."""
    if isinstance(error, RefusedError):
        return error.refusal
    if isinstance(error, _NOT_NOW):
        return UnavailableError("the store does not serve now")
    if isinstance(error, _NO_ACCESS):
        return StorageError("the store refuses this account, or what it may do is not enough")
    if isinstance(error, exceptions.OutOfMemoryError):
        return _full()
    if isinstance(error, (exceptions.TimeoutError, TimeoutError)):
        return UnavailableError("the store did not answer in time")
    if isinstance(error, (exceptions.ConnectionError, exceptions.InvalidResponse, OSError)):
        return UnavailableError("the store cannot be reached now")
    return _by_code(error)


def _by_code(error: Exception) -> StorageError:
    codes = _codes(error)
    if codes & _FULL:
        return _full()
    if codes & _WAITING_HELPS:
        return UnavailableError("the store does not serve now")
    if codes & _REFUSED or any(words in str(error) for words in _REFUSED_WORDS):
        return StorageError("the store refuses this account, or what it may do is not enough")
    return StorageError("the store failed")


def _codes(error: Exception) -> frozenset[str]:
    status = getattr(error, "status_code", None)
    found = _CODE.findall(str(error))
    return frozenset([*found, status] if isinstance(status, str) else found)


def _full() -> StorageError:
    return StorageError("the store has no memory left for this write")


@contextmanager
def translated() -> Iterator[None]:
    """Raise the driver's errors as ours, chained."""
    try:
        yield
    except FAMILIES as error:
        raise translate(error) from error
