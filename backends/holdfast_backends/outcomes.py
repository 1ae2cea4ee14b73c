"""What a backend answers: one outcome for each operation, in order.

An outcome's `sequence` is that of the collection's last change when it was decided: a write's own
change, and for a read (or a failure) the last one that it saw. 0 before the first. `locks` is the
sequence of the locks at which a fence was looked at; None where there was no fence.

Documents travel as the JSON bytes that the store keeps; whoever needs the value decodes it.
Instants are integers: microseconds since 1970-01-01T00:00:00Z.
"""

from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from .encoding import record_id
from .errors import StorageError
from .values import JsonObject, RecordId, decode_document

UNKNOWN_SEQUENCE = -1
"""Of a failure of the store itself: it says nothing about any state."""


class Record(NamedTuple):
    """A record as the store keeps it. `document` is compact JSON with its `id`.

    `version` starts at 1 and rises by one with each write.
    """

    key: bytes
    version: int
    document: bytes
    created_at: int
    updated_at: int
    expires_at: int | None = None

    @property
    def id(self) -> RecordId:
        """The record's id."""
        return record_id(self.key)

    @property
    def value(self) -> JsonObject:
        """The document, decoded: a fresh copy each time."""
        return decode_document(self.document)


class Saved(NamedTuple):
    """Of `Save`: the record as it is now, and whether it is a new one."""

    record: Record
    created: bool
    replayed: bool = False
    sequence: int = 0
    locks: int | None = None


class Found(NamedTuple):
    """Of `Get`, and of `Update` and `Delete` (the record after the change, or as it was)."""

    record: Record
    replayed: bool = False
    sequence: int = 0
    locks: int | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Of `Find`: records in order, and where the next page begins (None at the end).

    With `fields`, each record's `document` holds only those. `size` is what the page counts
    toward a limit of bytes.
    """

    records: tuple[Record, ...]
    next_cursor: str | None
    size: int = field(default=0, compare=False)
    sequence: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Counted:
    """Of `Count`."""

    count: int
    sequence: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class CollectionCounts:
    """Of `Collections`: (name, number of records), by name; and the sequence of each."""

    counts: tuple[tuple[str, int], ...]
    sequences: tuple[tuple[str, int], ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class IndexState:
    """Of `Index`: the declared paths, and whether all of them are built."""

    paths: tuple[str, ...]
    ready: bool


class Leased(NamedTuple):
    """Of `Acquire`, `Renew`, `Release` (the lease as it was) and `Inspect`: a lock's lease.

    `token` is the fencing token: it rises with each time that the lock is acquired. Instants
    are microseconds since 1970-01-01T00:00:00Z.
    """

    name: str
    owner: str
    token: int
    acquired_at: int
    expires_at: int
    replayed: bool = False
    sequence: int = 0


@dataclass(frozen=True, slots=True)
class Failed:
    """The operation failed, and changed nothing.

    `index` says which operation of an atomic transaction it was, and `sequences` then those of
    the collections of all operations up to that one.
    """

    error: StorageError
    index: int | None = None
    replayed: bool = False
    sequence: int = field(default=0, compare=False)
    locks: int | None = field(default=None, compare=False)
    sequences: tuple[tuple[str, int], ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class Batched:
    """Of `Transaction`: an outcome for each operation."""

    outcomes: tuple["Outcome", ...]
    replayed: bool = False
    locks: int | None = field(default=None, compare=False)


Outcome: TypeAlias = (
    Saved | Found | Page | Counted | CollectionCounts | IndexState | Leased | Batched | Failed
)
