"""What an engine must offer so that the executor can make a backend of it.

The types of which a batch makes thousands are named tuples: making one costs a third of making a
frozen dataclass.

A store knows nothing of filters, versions, patches, duplicates or cursors: the executor
(`executor.py`) decides all of that once, for every backend. A store loads rows by key, scans
rows in the order of their bytes, and commits a set of changes atomically.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from types import TracebackType
from typing import NamedTuple, Protocol, Self

from .capabilities import Capabilities
from .encoding import index_value
from .paths import Path, lookup
from .values import decode_document

RowKey = tuple[str, bytes]
"""A collection and a record's key."""

IdentityKey = tuple[str, str]
"""A sender and a message id."""


class CommitConflictError(Exception):
    """Another process changed what this unit read, or used the same identity first.

    Nothing was committed; the executor begins the unit again. It never reaches a caller.
    """


class Row(NamedTuple):
    """A record's row. Without a document it is a tombstone: the id was used, up to `version`.

    Instants are microseconds since 1970-01-01T00:00:00Z.
    """

    key: bytes
    version: int
    document: bytes | None
    created_at: int
    updated_at: int
    expires_at: int | None = None


@dataclass(frozen=True, slots=True)
class IndexSlot:
    """A declared index: a path kept in one of 16 numbered places, usable once `ready`.

    A number is used again for another path, not ready at first. Whatever the place still held
    must be gone, or overwritten by the changes that then come for each live row, before the
    slot is committed as ready.

    `token` is another one each time that a path is declared anew, so that whoever builds an index
    notices when it was dropped and declared again meanwhile.
    """

    number: int
    path: Path
    ready: bool
    token: int = 0


class Head(NamedTuple):
    """What is kept of a collection itself: its next integer id, its declared indexes, and how
    many changes its records have seen.

    `next_id` is 2^63 when the integers are used up. It does not fit a signed 64-bit column:
    a store keeps `next_id - 1`, the largest id used. `sequence` is that of the last change.
    """

    next_id: int = 1
    slots: tuple[IndexSlot, ...] = ()
    sequence: int = 0


class EventRow(NamedTuple):
    """A change of a record, as the outbox keeps it: committed with the change itself.

    `kind` is one of `CREATED`, `UPDATED`, `DELETED`; `document` is the state after the change,
    before it for a deletion. `at` is microseconds since 1970-01-01T00:00:00Z. `sender` and
    `message_id` name the message that made the change; None where none did (expiry).
    """

    sequence: int
    kind: int
    key: bytes
    version: int
    document: bytes
    at: int
    sender: str | None = None
    message_id: str | None = None


CREATED, UPDATED, DELETED = 1, 2, 3


class StoredReply(NamedTuple):
    """The outcome of a message, kept with its effect."""

    digest: bytes
    outcome: bytes
    at: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an executor must know before it can execute. No entry stands in it twice."""

    collections: Sequence[str]
    rows: Sequence[RowKey]
    identities: Sequence[IdentityKey]


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a store knows of it; what is not there has no entry."""

    heads: Mapping[str, Head]
    rows: Mapping[RowKey, Row]
    replies: Mapping[IdentityKey, StoredReply]


@dataclass(frozen=True, slots=True)
class Span:
    """A range of a collection's live rows (those with a document), in byte order.

    With a `slot` the order is (index value, key) of that index; without one it is the key.

    Args:
        low: only index values from here on (inclusive), with a slot.
        high: only index values below this (exclusive), with a slot.
        after: continue strictly behind this place, in the direction of the scan:
            (index value, key); the index value is b"" without a slot. The key may also be
            b"", before all keys, or b"\\xff", behind all keys.
        descending: the exact reverse order.
    """

    collection: str
    slot: int | None = None
    low: bytes | None = None
    high: bytes | None = None
    after: tuple[bytes, bytes] | None = None
    descending: bool = False


class RowChange(NamedTuple):
    """A row as it was (None: there was none, no tombstone either) and as it becomes.

    Without a `previous` row the key is certainly new. `previous` is None or was loaded in the
    same unit. While an index is built, rows come unchanged (`previous` equal to `row`): their
    index entries must be written all the same.
    """

    previous: Row | None
    row: Row


@dataclass(slots=True)
class Changes:
    """What a unit commits, all or nothing.

    `heads` are the heads that changed, and `slots` the index slots of every collection that
    has any and has changed rows: the store keeps `index_entries` of the new rows for them.
    `events` are the changes for the outbox, by collection, in their sequence; each is new.
    `fenced` are collections of which nothing changes, and whose units that were read before must
    not commit after this one all the same: a store whose units lock has no such ones.
    """

    heads: dict[str, Head] = field(default_factory=dict)
    rows: dict[RowKey, RowChange] = field(default_factory=dict)
    replies: dict[IdentityKey, StoredReply] = field(default_factory=dict)
    slots: dict[str, tuple[IndexSlot, ...]] = field(default_factory=dict)
    events: dict[str, list[EventRow]] = field(default_factory=dict)
    fenced: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Scanned:
    """What a single scan found, and the collection's sequence in the same state."""

    rows: Sequence[Row]
    sequence: int


def index_entries(row: Row | None, slots: Iterable[IndexSlot]) -> dict[int, bytes]:
    """The index value of a row in each slot; empty for a tombstone or no row."""
    if row is None or row.document is None:
        return {}
    document = decode_document(row.document)
    return {slot.number: index_value(lookup(document, slot.path)) for slot in slots}


class Snapshot(Protocol):
    """One state of the store: all reads of it agree with each other."""

    async def load(self, wanted: Wanted) -> Loaded:
        """Heads, rows (tombstones too) and stored replies by their keys."""
        ...

    async def heads(self) -> Mapping[str, Head]:
        """The heads of all collections that have one."""
        ...

    async def scan(self, span: Span, limit: int) -> Sequence[Row]:
        """The first rows of a span, at most `limit`; fewer only at its end."""
        ...

    async def count(self, collection: str, now: int) -> int:
        """How many live rows a collection has that have not expired at `now`."""
        ...

    async def counts(self, now: int) -> Mapping[str, int]:
        """`count` of every collection that has such rows."""
        ...

    async def expired(self, now: int, limit: int) -> Sequence[tuple[str, Row]]:
        """Some live rows that have expired at `now`, with their collections."""
        ...


class Unit(Snapshot, Protocol):
    """A snapshot that can be changed: nobody else's change can come between.

    Either nobody else can change its collections while it is open (locks), or `commit` notices
    that somebody did (compare and set).
    """

    async def commit(self, changes: Changes) -> None:
        """Make all changes durable at once; at most once for each unit.

        Raises:
            CommitConflictError: nothing was committed; begin again.
            UnavailableError: it is unknown whether it was committed.
        """
        ...


class Store(Protocol):
    """An engine. An async context manager, open before use.

    Its exceptions are `StorageError`s, translated from the driver's in one place. A failed
    connection is an `UnavailableError`. Every wait is bounded.
    """

    @property
    def capabilities(self) -> Capabilities:
        """What this store guarantees, as it is configured; known once open."""
        ...

    def read(self, *, single: bool = False) -> AbstractAsyncContextManager[Snapshot]:
        """A snapshot for reading; with `single` the caller reads only once, which may cost less."""
        ...

    def write(
        self, collections: Sequence[str], *, everything: bool = False
    ) -> AbstractAsyncContextManager[Unit]:
        """A unit that may change these collections (names in order, none twice).

        Leaving it without a commit leaves no trace. With `everything` no collection at all
        changes meanwhile.
        """
        ...

    async def append(self, collection: str, expected: Head, prepare: Callable[[], Changes]) -> bool:
        """Commit new records of one collection, all under new integer ids, with their events
        (one for each, in order, or none at all), without a unit around them; as durable as a
        unit's commit.

        `prepare` gives them. It is called at most once, after every wait for a turn and for a
        connection: instants must not be older than the commit.

        `expected` is the collection's head as the caller remembers it. False when it is another
        by now, a message's reply is kept already, or the store does not do this: then nothing
        was committed, and a unit must be asked.

        Raises:
            UnavailableError: it is unknown whether it was committed.
        """
        ...

    async def scan_once(
        self, span: Span, limit: int, declared: tuple[IndexSlot, ...]
    ) -> Scanned | None:
        """The first rows of a span, at most `limit`, without a snapshot around them.

        `declared` are the collection's indexes as the caller remembers them. None when they are
        others by now, or when it cannot be told: then a snapshot must be asked.
        """
        ...

    async def heads(self) -> Mapping[str, Head]:
        """The heads of all collections that have one."""
        ...

    async def events(self, collection: str, after: int, limit: int) -> Sequence[EventRow]:
        """The first events of a collection whose sequence is above `after`, in order.

        What is committed is seen at once, and never an event before one with a lower sequence.
        """
        ...

    async def unpublished(self) -> Mapping[str, int]:
        """The collections (not the internal ones) with changes past their mark, and the mark:
        the sequence up to which events are published, 0 before the first."""
        ...

    async def mark_published(self, marks: Mapping[str, int]) -> None:
        """Raise the marks of collections; one that is higher already stays. Need not be
        durable at once: what is published again does no harm."""
        ...

    async def forget_events(self, collection: str, upto: int, limit: int) -> int:
        """Remove the events with a sequence of at most `upto`, the first `limit` of them; how
        many were."""
        ...

    async def forget_replies(self, before: int, limit: int) -> int:
        """Remove stored replies older than an instant, at most so many; how many were."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...
