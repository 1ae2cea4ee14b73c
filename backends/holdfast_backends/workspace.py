"""The working set of one unit: what was loaded, and what became of it so far.

All rules about ids, versions, deletion and expiry stand here, once for all backends.
Source: the wire contract, sections 6 and 10.
"""

from collections.abc import Iterable, Iterator, Mapping
from secrets import randbits
from typing import TypeVar

from .checks import check_document
from .encoding import integer_key, record_key
from .errors import ConflictError, StorageError, TaskNotFoundError
from .identity import Identity
from .operations import (
    MAX_INDEX_PATHS,
    Delete,
    Get,
    Index,
    Save,
    Update,
    check_size,
)
from .outcomes import Found, IndexState, Outcome, Record, Saved
from .paths import parse_path
from .replies import encode_outcome, saved_document
from .store import (
    CREATED,
    DELETED,
    UPDATED,
    Changes,
    EventRow,
    Head,
    IndexSlot,
    Loaded,
    Row,
    RowChange,
    RowKey,
    StoredReply,
)
from .updates import updated
from .values import INTERNAL, MAX_INTEGER, RecordId, decode_document, encode_json

_NEW = Head()
_K = TypeVar("_K")
_V = TypeVar("_V")


class Workspace:
    """One unit's view: reads see the writes that came before them.

    Args:
        loaded: what the store knew.
        now: the instant of the unit, microseconds since 1970.
        builds_indexes: whether the store has real indexes, so that new ones must be built.
        keeps_events: whether changes go into the outbox; they are counted in any case.
    """

    def __init__(
        self, loaded: Loaded, now: int, *, builds_indexes: bool = True, keeps_events: bool = True
    ) -> None:
        self.now = now
        self.actor: Identity | None = None
        """Whose message is executed now."""
        self._heads = dict(loaded.heads)
        self._rows: dict[RowKey, Row] = dict(loaded.rows)
        self._replies = dict(loaded.replies)
        self._changes = Changes()
        self._undo: list[tuple[dict[object, object], object, object]] | None = None
        self._kept_events: dict[str, int] = {}
        self._builds_indexes = builds_indexes
        self._keeps_events = keeps_events

    # -- what was found, and what is to be committed -------------------------------------------

    @property
    def is_changed(self) -> bool:
        """Whether there is anything to commit."""
        changes = self._changes
        return bool(changes.rows or changes.replies or changes.heads or changes.fenced)

    def changes(self) -> Changes:
        """What is to be committed."""
        for collection, _key in self._changes.rows:
            slots = self.head(collection).slots
            if slots:
                self._changes.slots[collection] = slots
        events = self._changes.events
        self._changes.events = {name: rows for name, rows in events.items() if rows}
        return self._changes

    def head(self, collection: str) -> Head:
        """A collection's head; a new one's where there is none."""
        return self._heads.get(collection, _NEW)

    @property
    def heads(self) -> Mapping[str, Head]:
        """The heads that are known, as they are now."""
        return self._heads

    def usable_slots(self, collection: str) -> tuple[IndexSlot, ...]:
        """The indexes that a scan may use: none where the store only remembers their names."""
        return self.head(collection).slots if self._builds_indexes else ()

    def touched(self, collection: str) -> dict[bytes, RowChange]:
        """The changed rows of a collection, by key."""
        rows = self._changes.rows
        return {key: change for (name, key), change in rows.items() if name == collection}

    def touched_rows(self) -> Iterator[tuple[str, RowChange]]:
        """All changed rows, with their collections."""
        for (collection, _key), change in self._changes.rows.items():
            yield collection, change

    def is_live(self, row: Row | None) -> bool:
        """Whether a row is a record now: neither deleted nor expired."""
        return (
            row is not None
            and row.document is not None
            and (row.expires_at is None or row.expires_at > self.now)
        )

    # -- all or nothing ------------------------------------------------------------------------

    def begin(self) -> None:
        """From here on, remember how to undo."""
        self._undo = []
        self._kept_events = {name: len(rows) for name, rows in self._changes.events.items()}

    def keep(self) -> None:
        """What was done since `begin` stays."""
        self._undo = None

    def undo(self) -> None:
        """What was done since `begin` never was."""
        for mapping, key, before in reversed(self._undo or []):
            if before is None:
                mapping.pop(key, None)
            else:
                mapping[key] = before
        self._undo = None
        for name, rows in self._changes.events.items():
            del rows[self._kept_events.get(name, 0) :]

    def _put(self, mapping: dict[_K, _V], key: _K, value: _V) -> None:
        if self._undo is not None:
            self._undo.append((mapping, key, mapping.get(key)))  # type: ignore[arg-type]
        mapping[key] = value

    # -- identities ----------------------------------------------------------------------------

    def stored(self, identity: Identity) -> StoredReply | None:
        """What was answered to this message before."""
        return self._replies.get((identity.sender, identity.message_id))

    def fence(self, collections: Iterable[str]) -> None:
        """Whoever has read these before must not commit any more."""
        self._changes.fenced.update(collections)

    def remember(self, identity: Identity, outcome: Outcome) -> None:
        """Keep the answer with the effect."""
        key = (identity.sender, identity.message_id)
        reply = StoredReply(identity.digest, encode_outcome(outcome), self.now)
        self._replies[key] = reply
        self._changes.replies[key] = reply

    # -- operations ----------------------------------------------------------------------------

    def save(self, operation: Save) -> Saved:
        """Create or replace.

        Raises:
            ConflictError, TooLargeError, StorageError: nothing was changed.
        """
        wanted = operation.document.get("id")
        if not isinstance(wanted, (int, str)):
            return self._create(operation)
        collection, key = operation.collection, record_key(wanted)
        present = self._rows.get((collection, key))
        self._check_save_version(present, operation.if_version)
        document = saved_document(operation, wanted)
        row = self._saved_row(key, document, present, operation.ttl_seconds)
        created = not self.is_live(present)
        if created and present is not None and present.document is not None:
            # Nobody has swept it away yet: its end is told before the new beginning.
            self._tell(collection, DELETED, present, present.document)
        self._put_row(collection, present, row)
        if isinstance(wanted, int):
            self._reserve(collection, wanted)
        sequence = self._tell(collection, CREATED if created else UPDATED, row, document)
        return Saved(_record(row, document), created, sequence=sequence)

    def _create(self, operation: Save) -> Saved:
        """Save under the next integer: what most saves are."""
        collection = operation.collection
        head = self._heads.get(collection, _NEW)
        number = head.next_id
        if number > MAX_INTEGER:
            raise StorageError(f"the integer ids of {collection} are used up")
        document = saved_document(operation, number)
        check_size(len(document))
        row = self._saved_row(integer_key(number), document, None, operation.ttl_seconds)
        sequence = head.sequence + 1
        place, reached = (collection, row.key), Head(number + 1, head.slots, sequence)
        if self._undo is None:
            # The same as below, without a call for each: nothing here can have to be undone.
            self._rows[place] = row
            self._changes.rows[place] = RowChange(None, row)
            self._heads[collection] = self._changes.heads[collection] = reached
        else:
            self._put_row(collection, None, row)
            self._put_head(collection, reached)
        if self._keeps_events:
            self._keep_event(collection, sequence, CREATED, row, document)
        return Saved(_record(row, document), True, sequence=sequence)

    def get(self, operation: Get) -> Found:
        """Read.

        Raises:
            TaskNotFoundError: there is no such record.
        """
        row = self._existing(operation.collection, operation.id)
        sequence = self.head(operation.collection).sequence
        return Found(_record(row, _document(row)), sequence=sequence)

    def update(self, operation: Update) -> Found:
        """Change a record.

        Raises:
            TaskNotFoundError, ConflictError, InvalidValueError, TooLargeError: nothing changed.
        """
        row = self._existing(operation.collection, operation.id)
        _check_version(row, operation.if_version)
        before = decode_document(_document(row))
        # The id stays whatever the patch says: a null in it was refused, an equal one is the same.
        after = updated(before, operation.changes, operation.increment, operation.append)
        check_document(after)
        document = encode_json(after)
        check_size(len(document))
        new = Row(row.key, row.version + 1, document, row.created_at, self.now, row.expires_at)
        self._put_row(operation.collection, row, new)
        sequence = self._tell(operation.collection, UPDATED, new, document)
        return Found(_record(new, document), sequence=sequence)

    def delete(self, operation: Delete) -> Found:
        """Remove a record; a tombstone keeps its version.

        Raises:
            TaskNotFoundError, ConflictError: nothing changed.
        """
        row = self._existing(operation.collection, operation.id)
        _check_version(row, operation.if_version)
        sequence = self.bury(operation.collection, row)
        return Found(_record(row, _document(row)), sequence=sequence)

    def bury(self, collection: str, row: Row) -> int:
        """Leave a tombstone in the place of a row; the deletion's sequence."""
        tombstone = Row(row.key, row.version, None, row.created_at, self.now)
        self._put_row(collection, row, tombstone)
        return self._tell(collection, DELETED, row, _document(row))

    def bury_expired(self, collection: str) -> int:
        """Leave a tombstone in the place of every loaded row that has expired; how many."""
        self.actor = None
        expired = [
            row
            for (name, _key), row in self._rows.items()
            if name == collection and row.document is not None and not self.is_live(row)
        ]
        for row in expired:
            self.bury(collection, row)
        return len(expired)

    def index(self, operation: Index) -> IndexState:
        """Declare or ask which paths have indexes."""
        head = self.head(operation.collection)
        if operation.paths is not None:
            slots = self._new_slots(head.slots, operation.paths)
            if slots != head.slots:
                head = Head(head.next_id, slots, head.sequence)
                self._put_head(operation.collection, head)
        paths = operation.paths
        if paths is None:
            paths = tuple(".".join(slot.path) for slot in head.slots)
        return IndexState(paths, all(slot.ready for slot in head.slots))

    # -- parts ---------------------------------------------------------------------------------

    def _reserve(self, collection: str, number: int) -> None:
        """Never give this id out again."""
        head = self._heads.get(collection, _NEW)
        if number >= head.next_id:
            self._put_head(collection, Head(number + 1, head.slots, head.sequence))

    def _tell(self, collection: str, kind: int, row: Row, document: bytes) -> int:
        """Count a change, and put it into the outbox; its sequence."""
        head = self._heads.get(collection, _NEW)
        sequence = head.sequence + 1
        self._put_head(collection, Head(head.next_id, head.slots, sequence))
        if self._keeps_events and not collection.startswith(INTERNAL):
            self._keep_event(collection, sequence, kind, row, document)
        return sequence

    def _keep_event(
        self, collection: str, sequence: int, kind: int, row: Row, document: bytes
    ) -> None:
        sender = message_id = None
        if self.actor is not None:
            sender, message_id = self.actor.sender, self.actor.message_id
        event = EventRow(
            sequence, kind, row.key, row.version, document, self.now, sender, message_id
        )
        events = self._changes.events.get(collection)
        if events is None:
            events = self._changes.events[collection] = []
        events.append(event)

    def _saved_row(
        self, key: bytes, document: bytes, present: Row | None, ttl_seconds: float | None
    ) -> Row:
        version = present.version + 1 if present is not None else 1
        created_at = self.now
        if present is not None and self.is_live(present):
            created_at = present.created_at
        expires_at = None
        if ttl_seconds is not None:
            expires_at = self.now + max(1, round(ttl_seconds * 1_000_000))
        return Row(key, version, document, created_at, self.now, expires_at)

    def _check_save_version(self, present: Row | None, if_version: int | None) -> None:
        if if_version is None:
            return
        current = present.version if present is not None and self.is_live(present) else 0
        if current != if_version:
            raise _conflict(current)

    def _existing(self, collection: str, record_id: RecordId) -> Row:
        row = self._rows.get((collection, record_key(record_id)))
        if row is None or not self.is_live(row):
            raise TaskNotFoundError(record_id, collection)
        return row

    def row(self, place: RowKey) -> Row | None:
        """A loaded row as it is now."""
        return self._rows.get(place)

    def put(self, collection: str, present: Row | None, row: Row) -> int:
        """Write a row of an internal collection, and count that as a change; its sequence."""
        self._put_row(collection, present, row)
        return self._tell(collection, UPDATED, row, b"")

    def _put_row(self, collection: str, present: Row | None, row: Row) -> None:
        key = (collection, row.key)
        earlier = self._changes.rows.get(key)
        previous = earlier.previous if earlier is not None else present
        self._put(self._rows, key, row)
        self._put(self._changes.rows, key, RowChange(previous, row))

    def _put_head(self, collection: str, head: Head) -> None:
        self._put(self._heads, collection, head)
        self._put(self._changes.heads, collection, head)

    def _new_slots(
        self, present: tuple[IndexSlot, ...], paths: tuple[str, ...]
    ) -> tuple[IndexSlot, ...]:
        kept = {slot.path: slot for slot in present}
        wanted = dict.fromkeys(parse_path(path) for path in paths)  # a repeated path adds nothing
        taken = {slot.number for slot in present if slot.path in wanted}
        free = iter(number for number in range(MAX_INDEX_PATHS) if number not in taken)
        slots: list[IndexSlot] = []
        for path in wanted:
            ready, token = not self._builds_indexes, randbits(48)
            slots.append(kept.get(path) or IndexSlot(next(free), path, ready, token))
        return tuple(slots)


def _record(row: Row, document: bytes) -> Record:
    return Record(row.key, row.version, document, row.created_at, row.updated_at, row.expires_at)


def _document(row: Row) -> bytes:
    if row.document is None:
        raise StorageError("a live row has a document")
    return row.document


def _check_version(row: Row, if_version: int | None) -> None:
    if if_version is not None and row.version != if_version:
        raise _conflict(row.version)


def _conflict(current: int) -> ConflictError:
    return ConflictError(f"the record is at version {current}", {"current_version": current})
