"""What a batch of operations needs to know and to lock, before any of it is executed."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from .encoding import record_key
from .identity import Fence, Identity
from .lock_operations import LOCKS, Acquire, Inspect, Release, Renew, lock_place
from .operations import (
    Collections,
    Count,
    Delete,
    Find,
    Get,
    Index,
    Operation,
    Save,
    Transaction,
    Update,
)
from .store import Wanted

_WRITES = (Save, Update, Delete, Acquire, Renew, Release)


def is_write(operation: Operation) -> bool:
    """Whether an operation may change the store."""
    if isinstance(operation, Transaction):
        return any(isinstance(inner, (Save, Update, Delete)) for inner in operation.operations)
    if isinstance(operation, Index):
        return operation.paths is not None
    return isinstance(operation, _WRITES)


def identity_of(operation: Operation) -> Identity | None:
    """The identity that makes a write take effect once; reads have none."""
    if isinstance(operation, _WRITES):
        return operation.identity
    if isinstance(operation, Transaction) and operation.identity and is_write(operation):
        return operation.identity
    return None


@dataclass(slots=True)
class Survey:
    """What a batch needs to know and to lock."""

    collections: dict[str, None] = field(default_factory=dict)
    rows: dict[tuple[str, bytes], None] = field(default_factory=dict)
    identities: list[Identity | None] = field(default_factory=list)
    writes: bool = False
    scans: bool = False
    everything: bool = False

    def add(self, operation: Operation) -> None:
        """What one operation needs more."""
        match operation:
            case Save(document=document, collection=collection):
                self.writes = True
                self.collections[collection] = None
                wanted = document.get("id")
                if isinstance(wanted, (int, str)):
                    self.rows[(collection, record_key(wanted))] = None
                self._needs_fence(operation.fence)
            case Update() | Delete():
                self.writes = True
                self._needs_row(operation.collection, operation)
                self._needs_fence(operation.fence)
            case Get():
                self._needs_row(operation.collection, operation)
            case Find() | Count():
                self.scans = True
                self.collections[operation.collection] = None
            case Index():
                self.writes |= operation.paths is not None
                self.collections[operation.collection] = None
            case Collections():
                self.scans = self.everything = True
            case Transaction():
                self._needs_fence(operation.fence)
                for inner in operation.operations:
                    self.add(inner)
            case Acquire() | Renew() | Release() | Inspect():
                self.writes |= not isinstance(operation, Inspect)
                self._needs_lock(operation.name)

    def _needs_row(self, collection: str, operation: Get | Update | Delete) -> None:
        self.collections[collection] = None
        self.rows[(collection, record_key(operation.id))] = None

    def _needs_fence(self, fence: Fence | None) -> None:
        if fence is not None:
            self._needs_lock(fence.lock)

    def _needs_lock(self, name: str) -> None:
        self.collections[LOCKS] = None
        self.rows[lock_place(name)] = None

    def wanted(self) -> Wanted:
        """What is to be loaded; its collections are those to lock."""
        known = (identity for identity in self.identities if identity is not None)
        messages = dict.fromkeys((identity.sender, identity.message_id) for identity in known)
        return Wanted(sorted(self.collections), list(self.rows), list(messages))


def survey_of(operations: Sequence[Operation]) -> Survey:
    """What a batch needs."""
    survey = Survey()
    for operation in operations:
        survey.add(operation)
        survey.identities.append(identity_of(operation))
    return survey
