"""The rules of locks, over a unit's working set. See `lock_operations.py` for what a lock is."""

from .errors import ConflictError, LockNotHeldError, StorageError
from .identity import Fence
from .lock_operations import LOCKS, Acquire, Inspect, LockOperation, Release, Renew, lock_place
from .outcomes import Leased
from .store import Row
from .values import decode_document, encode_json
from .workspace import Workspace

_MICROS = 1_000_000


def run_lock(operation: LockOperation, workspace: Workspace) -> Leased:
    """Execute an operation on a lock.

    Raises:
        ConflictError: another one holds it.
        LockNotHeldError: nobody holds it.
    """
    match operation:
        case Acquire():
            return _acquire(operation, workspace)
        case Renew():
            return _renew(operation, workspace)
        case Release():
            return _release(operation, workspace)
        case Inspect():
            row = _held(operation.name, workspace)
            return _leased(operation.name, row, workspace.head(LOCKS).sequence)


def check_fence(fence: Fence, workspace: Workspace) -> None:
    """Refuse a write whose lease has ended, or was never the current one.

    Raises:
        ConflictError: naming the token that holds now, if any does.
    """
    row = workspace.row(lock_place(fence.lock))
    held = row is not None and workspace.is_live(row)
    current = row.version if row is not None and held else None
    if current != fence.token:
        raise ConflictError(
            f"the lock {fence.lock} is not held with this token any more",
            {"lock": fence.lock, "current_token": current},
        )


def _acquire(operation: Acquire, workspace: Workspace) -> Leased:
    place = lock_place(operation.name)
    present = workspace.row(place)
    now = workspace.now
    if present is not None and workspace.is_live(present):
        left = ((present.expires_at or now) - now) / _MICROS
        lease = _leased(operation.name, present, 0)
        raise ConflictError(
            f"the lock {operation.name} is held by {lease.owner}",
            {"owner": lease.owner, "retry_after_seconds": round(left, 3)},
        )
    token = present.version + 1 if present is not None else 1
    document = encode_json({"id": operation.name, "owner": operation.owner})
    row = Row(place[1], token, document, now, now, now + _micros(operation.lease_seconds))
    return _leased(operation.name, row, workspace.put(LOCKS, present, row))


def _renew(operation: Renew, workspace: Workspace) -> Leased:
    row = _held_with(operation.name, operation.token, workspace)
    expires_at = workspace.now + _micros(operation.lease_seconds)
    renewed = row._replace(updated_at=workspace.now, expires_at=expires_at)
    return _leased(operation.name, renewed, workspace.put(LOCKS, row, renewed))


def _release(operation: Release, workspace: Workspace) -> Leased:
    row = _held_with(operation.name, operation.token, workspace)
    return _leased(operation.name, row, workspace.bury(LOCKS, row))


def _held(name: str, workspace: Workspace) -> Row:
    row = workspace.row(lock_place(name))
    if row is None or not workspace.is_live(row):
        raise LockNotHeldError(f"the lock {name} is not held")
    return row


def _held_with(name: str, token: int, workspace: Workspace) -> Row:
    row = _held(name, workspace)
    if row.version != token:
        raise ConflictError(
            f"the lock {name} is held with another token", {"current_token": row.version}
        )
    return row


def _leased(name: str, row: Row, sequence: int) -> Leased:
    owner = decode_document(row.document or b"{}").get("owner")
    if not isinstance(owner, str) or row.expires_at is None:
        raise StorageError("a lock cannot be read")
    return Leased(name, owner, row.version, row.created_at, row.expires_at, sequence=sequence)


def _micros(seconds: float) -> int:
    return max(1, round(seconds * _MICROS))
