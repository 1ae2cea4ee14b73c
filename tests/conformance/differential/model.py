"""A model of the store, written from the wire contract alone: dictionaries and plain rules.

It keeps whole documents and answers each operation with what the contract makes of it. It knows
nothing of bytes, batches, locks or indexes, and shares no code with the backends.
"""

from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

from tests.conformance.differential.leases import Locks
from tests.conformance.differential.naive import (
    Document,
    NotPossibleError,
    Place,
    Sort,
    append,
    comes_before,
    deciding,
    increment,
    matches,
    merge,
    place,
)
from tests.conformance.differential.words import Answer, FailureError

LAST_INTEGER = 2**63 - 1
RETENTION = 30 * 86_400 * 1_000_000


@dataclass(frozen=True)
class Entry:
    """A record. Documents are never changed once they are in one."""

    document: Document
    version: int
    created_at: int
    updated_at: int
    expires_at: int | None


@dataclass(frozen=True)
class Event:
    """A change, as it is told."""

    kind: str
    document: Document
    version: int
    at: int
    actor: tuple[str, str] | None


@dataclass
class Collection:
    """What is kept of a collection, deleted records' versions too.

    `expired` are records whose end nobody has been told of yet; `events` are those after
    sequence `told`.
    """

    records: dict[int | str, Entry] = field(default_factory=dict)
    versions: dict[int | str, int] = field(default_factory=dict)
    last_id: int = 0
    expired: dict[int | str, Entry] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    told: int = 0

    def copied(self) -> "Collection":
        """Another one that can be changed; entries are shared, as they never change."""
        return replace(
            self,
            records=dict(self.records),
            versions=dict(self.versions),
            expired=dict(self.expired),
            events=list(self.events),
        )


class Model:
    """The whole store."""

    def __init__(self) -> None:
        self.collections: dict[str, Collection] = {}
        self.replies: dict[tuple[str, str], tuple[bytes, int, Answer]] = {}
        self.locks = Locks()
        self.now = 0
        self.actor: tuple[str, str] | None = None

    def collection(self, name: str) -> Collection:
        """A collection without what has expired by now: expiry is a deletion."""
        found = self.collections.setdefault(name, Collection())
        for record_id, entry in list(found.records.items()):
            if entry.expires_at is not None and entry.expires_at <= self.now:
                found.expired[record_id] = found.records.pop(record_id)
        return found

    def sweep(self) -> None:
        """Tell the end of everything that has expired."""
        self.actor = None
        for name in list(self.collections):
            collection = self.collection(name)
            for record_id in list(collection.expired):
                self._tell(collection, "deleted", collection.expired.pop(record_id))

    # -- once for each message -----------------------------------------------------------------

    def once(self, identity: tuple[str, str] | None, digest: bytes) -> Answer | None:
        """What a known message is answered with."""
        if identity not in self.replies:
            return None
        known, _at, answer = self.replies[identity]
        return ("replayed", answer) if known == digest else ("failed", "conflict", {}, None)

    def remember(self, identity: tuple[str, str] | None, digest: bytes, answer: Answer) -> None:
        """Keep an answer."""
        if identity is not None:
            self.replies[identity] = (digest, self.now, answer)

    def forget(self) -> None:
        """Forget the messages that are old enough."""
        self.replies = {
            key: reply for key, reply in self.replies.items() if self.now - reply[1] <= RETENTION
        }

    # -- operations ----------------------------------------------------------------------------

    def save(
        self, name: str, document: Document, if_version: int | None, ttl: float | None
    ) -> Answer:
        """Create or replace."""
        collection = self.collection(name)
        record_id = document.get("id")
        present = None
        if record_id is None:
            record_id = collection.last_id + 1
            if record_id > LAST_INTEGER:
                raise FailureError("storage_error")
        else:
            present = collection.records.get(record_id)
            current = present.version if present else 0
            if if_version is not None and if_version != current:
                raise FailureError("conflict", current_version=current)
        if isinstance(record_id, int):
            collection.last_id = max(collection.last_id, record_id)
        entry = Entry(
            document={**deepcopy(document), "id": record_id},
            version=collection.versions.get(record_id, 0) + 1,
            created_at=present.created_at if present else self.now,
            updated_at=self.now,
            expires_at=None if ttl is None else self.now + round(ttl * 1_000_000),
        )
        if record_id in collection.expired:
            self._tell(collection, "deleted", collection.expired.pop(record_id))
        self._keep(collection, entry)
        self._tell(collection, "updated" if present else "created", entry)
        return "saved", entry, present is None

    def get(self, name: str, record_id: int | str) -> Answer:
        """Read."""
        return "found", self._existing(name, record_id)

    def update(
        self,
        name: str,
        record_id: int | str,
        changes: Document | None,
        increments: dict[str, int | float] | None,
        appends: dict[str, list[Any]] | None,
        if_version: int | None,
    ) -> Answer:
        """Patch, then increment, then append."""
        present = self._existing(name, record_id, if_version)
        document = merge(deepcopy(present.document), changes or {})
        try:
            for path, amount in (increments or {}).items():
                increment(document, path, amount)
            for path, values in (appends or {}).items():
                append(document, path, values)
        except NotPossibleError:
            raise FailureError("validation_error") from None
        version = present.version + 1
        entry = replace(present, document=document, version=version, updated_at=self.now)
        self._keep(self.collection(name), entry)
        self._tell(self.collection(name), "updated", entry)
        return "found", entry

    def delete(self, name: str, record_id: int | str, if_version: int | None) -> Answer:
        """Remove."""
        present = self._existing(name, record_id, if_version)
        del self.collection(name).records[record_id]
        self._tell(self.collection(name), "deleted", present)
        return "found", present

    def find(
        self, name: str, filters: Document, sort: Sort, after: Place | None = None
    ) -> list[Entry]:
        """Everything behind a place, in order."""
        sort = deciding(sort)
        entries = [
            entry
            for entry in self.collection(name).records.values()
            if matches(filters, entry.document)
        ]
        places = {id(entry): place(entry.document, sort) for entry in entries}
        if after is not None:
            entries = [entry for entry in entries if comes_before(after, places[id(entry)])]
        for number in range(len(sort), -1, -1):
            descending = sort[min(number, len(sort) - 1)][1] if sort else False
            entries.sort(key=lambda entry: places[id(entry)][number][0], reverse=descending)
        return entries

    def count(self, name: str, filters: Document) -> Answer:
        """How many match."""
        records = self.collection(name).records.values()
        return "count", sum(matches(filters, entry.document) for entry in records)

    def counts(self) -> Answer:
        """The collections that have records, by name."""
        sizes = [(name, len(self.collection(name).records)) for name in sorted(self.collections)]
        return "collections", tuple((name, size) for name, size in sizes if size)

    # -- parts ---------------------------------------------------------------------------------

    def copied(self) -> dict[str, Collection]:
        """The state, to come back to."""
        return {name: collection.copied() for name, collection in self.collections.items()}

    def _existing(self, name: str, record_id: int | str, if_version: int | None = None) -> Entry:
        entry = self.collection(name).records.get(record_id)
        if entry is None:
            raise FailureError("not_found", record_id=record_id, collection=name)
        if if_version is not None and if_version != entry.version:
            raise FailureError("conflict", current_version=entry.version)
        return entry

    def _keep(self, collection: Collection, entry: Entry) -> None:
        record_id = entry.document["id"]
        collection.records[record_id] = entry
        collection.versions[record_id] = entry.version

    def _tell(self, collection: Collection, kind: str, entry: Entry) -> None:
        event = Event(kind, entry.document, entry.version, self.now, self.actor)
        collection.events.append(event)
