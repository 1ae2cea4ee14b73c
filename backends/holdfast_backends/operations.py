"""What a backend can be asked to do: a closed union of frozen, checked types.

An operation that exists is lawful: building one refuses (`InvalidValueError`) whatever can be
refused without looking into the store. Writes may carry the identity of the message they come
from; then they take effect once, and a duplicate is answered with the first outcome.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TypeAlias

from .checks import (
    check_collection,
    check_document,
    check_id,
    check_if_version,
    check_ttl,
    check_value,
)
from .cursors import read_cursor
from .errors import InvalidValueError, TooLargeError
from .filters import EVERYTHING, Filter
from .identity import Fence, Identity
from .lock_operations import Acquire, Inspect, LockOperation, Release, Renew
from .paths import Path, parse_path
from .sorting import Sort, SortKey, parse_sort, place_of
from .values import (
    DEFAULT_COLLECTION,
    MAX_DOCUMENT_BYTES,
    JsonObject,
    JsonValue,
    RecordId,
    encode_json,
    is_number,
)

__all__ = [
    "MAX_INDEX_PATHS",
    "Acquire",
    "Collections",
    "Count",
    "Delete",
    "Fence",
    "Find",
    "Get",
    "Identity",
    "Index",
    "Inspect",
    "LockOperation",
    "Operation",
    "Release",
    "Renew",
    "Save",
    "Simple",
    "SortKey",
    "Transaction",
    "Update",
    "check_size",
    "parse_fields",
    "parse_sort",
]

MAX_LIMIT = 10_000
MAX_OPERATIONS = 1_000
MAX_INDEX_PATHS = 16
MAX_FIELDS = 1_000


@dataclass(frozen=True, slots=True)
class Save:
    """Keep a document; without an id (or a null one) under the next integer.

    `if_version` 0 means create only, above 0 replace exactly that version.
    """

    document: JsonObject
    collection: str = DEFAULT_COLLECTION
    if_version: int | None = None
    ttl_seconds: float | None = None
    identity: Identity | None = None
    fence: Fence | None = None
    encoded: bytes = field(init=False, repr=False, compare=False)
    """The document's JSON, its id first, or without one where it has none yet."""

    def __post_init__(self) -> None:
        check_collection(self.collection)
        try:
            check_document(self.document)
        except InvalidValueError as error:
            raise error.within("document") from None
        object.__setattr__(self, "encoded", _encoded(self.document))
        if self.if_version is not None:
            check_if_version(self.if_version, least=0)
            if self.if_version and self.document.get("id") is None:
                raise InvalidValueError("if_version needs a document with an id", ("if_version",))
        if self.ttl_seconds is not None:
            check_ttl(self.ttl_seconds)


_SHORTEST_ID = len(b'"id":1,')


def _encoded(document: JsonObject) -> bytes:
    """A document's bytes, in the order given but for the id.

    Raises:
        TooLargeError: it is over the limit whatever id it gets.
    """
    record_id = document.get("id")
    if record_id is not None:
        document = {"id": record_id, **document}
    elif "id" in document:
        document = {key: value for key, value in document.items() if key != "id"}
    encoded = encode_json(document)
    check_size(len(encoded) if record_id is not None else len(encoded) + _SHORTEST_ID)
    return encoded


def check_size(size: int) -> None:
    """Refuse a document of so many bytes.

    Raises:
        TooLargeError: it is over the limit.
    """
    if size > MAX_DOCUMENT_BYTES:
        raise TooLargeError(f"a document has at most {MAX_DOCUMENT_BYTES} bytes", {"bytes": size})


@dataclass(frozen=True, slots=True)
class Get:
    """Read one record."""

    id: RecordId
    collection: str = DEFAULT_COLLECTION

    def __post_init__(self) -> None:
        check_collection(self.collection)
        check_id(self.id)


@dataclass(frozen=True, slots=True)
class Update:
    """Change one record atomically: a merge patch (RFC 7396), then increments, then appends.

    The keys of `increment` and `append` are dotted paths.
    """

    id: RecordId
    changes: JsonObject | None = None
    increment: dict[str, int | float] | None = None
    append: dict[str, list[JsonValue]] | None = None
    collection: str = DEFAULT_COLLECTION
    if_version: int | None = None
    identity: Identity | None = None
    fence: Fence | None = None

    def __post_init__(self) -> None:
        check_collection(self.collection)
        check_id(self.id)
        check_if_version(self.if_version, least=1)
        if self.changes is None and self.increment is None and self.append is None:
            raise InvalidValueError("an update needs changes, increment or append")
        if self.changes is not None:
            self._check_changes(self.changes)
        for name, amounts in (("increment", self.increment), ("append", self.append)):
            if amounts is not None and not isinstance(amounts, dict):
                raise InvalidValueError(f"{name} is an object of paths", (name,))
        for path, amount in (self.increment or {}).items():
            self._check_target(path, "increment")
            if not is_number(amount):
                raise InvalidValueError("an increment is a number", ("increment", path))
            check_value(amount, ("increment", path))
        for path, values in (self.append or {}).items():
            self._check_target(path, "append")
            if not isinstance(values, list):
                raise InvalidValueError("append takes an array of values", ("append", path))
            check_value(values, ("append", path))

    def _check_changes(self, changes: JsonObject) -> None:
        if not isinstance(changes, dict):
            raise InvalidValueError("changes is an object", ("changes",))
        check_value(changes, ("changes",))
        if "id" in changes and not _same_id(changes["id"], self.id):
            raise InvalidValueError("an id cannot be changed", ("changes", "id"))

    def _check_target(self, path: str, member: str) -> None:
        if parse_path(path, (member, path))[0] == "id":
            raise InvalidValueError("an id cannot be changed", (member, path))


def _same_id(value: JsonValue, record_id: RecordId) -> bool:
    return type(value) is type(record_id) and value == record_id


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove one record; its id and version live on, so that neither is used again."""

    id: RecordId
    collection: str = DEFAULT_COLLECTION
    if_version: int | None = None
    identity: Identity | None = None
    fence: Fence | None = None

    def __post_init__(self) -> None:
        check_collection(self.collection)
        check_id(self.id)
        check_if_version(self.if_version, least=1)


@dataclass(frozen=True, slots=True)
class Find:
    """Read a page of records: a list (no filter, no sort) or a query.

    Args:
        filter: which records.
        sort: in which order; ties fall to the id, in the direction of the last key.
        fields: which paths to keep beside `id`; None keeps everything.
        limit: at most so many records, 1–10,000; None is no limit.
        cursor: where an earlier page ended; made by the same `scope`, filter and sort.
        max_bytes: a page that would be larger (JSON text of the array) ends early, with a cursor.
        with_meta: the facts of each record will be told, too, and count toward `max_bytes`.
        scope: the name of the action, which a cursor belongs to.
    """

    collection: str = DEFAULT_COLLECTION
    filter: Filter = EVERYTHING
    sort: Sort = ()
    fields: tuple[Path, ...] | None = None
    limit: int | None = None
    cursor: str | None = None
    max_bytes: int | None = None
    with_meta: bool = False
    scope: str = "list"

    def __post_init__(self) -> None:
        check_collection(self.collection)
        if self.limit is not None and not (
            isinstance(self.limit, int)
            and not isinstance(self.limit, bool)
            and 1 <= self.limit <= MAX_LIMIT
        ):
            raise InvalidValueError(f"limit is an integer from 1 to {MAX_LIMIT}", ("limit",))
        if self.cursor is not None:
            place_of(read_cursor(self.fingerprint, self.cursor), self.sort)

    @property
    def fingerprint(self) -> bytes:
        """What a cursor of this query belongs to: 16 bytes."""
        order: list[JsonValue] = [[".".join(key.path), key.descending] for key in self.sort]
        parts: list[JsonValue] = [self.scope, self.collection, order]
        return blake2b(encode_json(parts) + self.filter.canonical, digest_size=16).digest()


@dataclass(frozen=True, slots=True)
class Count:
    """Count the records that match."""

    collection: str = DEFAULT_COLLECTION
    filter: Filter = EVERYTHING

    def __post_init__(self) -> None:
        check_collection(self.collection)


@dataclass(frozen=True, slots=True)
class Collections:
    """Name the collections that have records, with their counts, by name."""


@dataclass(frozen=True, slots=True)
class Index:
    """Declare the paths that a collection keeps real indexes on; None only asks."""

    collection: str = DEFAULT_COLLECTION
    paths: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        check_collection(self.collection)
        if self.paths is None:
            return
        if len(self.paths) > MAX_INDEX_PATHS:
            raise InvalidValueError(f"at most {MAX_INDEX_PATHS} paths", ("paths",))
        for position, path in enumerate(self.paths):
            parse_path(path, ("paths", position))


Simple: TypeAlias = Save | Get | Update | Delete | Find | Count | Collections


@dataclass(frozen=True, slots=True)
class Transaction:
    """Several operations that see one state of the store.

    Atomic: the first failure undoes everything and is the outcome. Not atomic: each operation
    has its own outcome.

    Args:
        operations: 1–1,000 of them, executed in order.
        atomic: all or nothing.
        max_bytes: results that would be larger together fail (`TooLargeError`), changing nothing.
        identity: of the message that holds the writes.
        fence: the whole is refused unless this lease holds.
    """

    operations: tuple[Simple, ...]
    atomic: bool = True
    max_bytes: int | None = None
    identity: Identity | None = None
    fence: Fence | None = None

    def __post_init__(self) -> None:
        if not self.operations:
            raise InvalidValueError("a batch needs at least one operation", ("operations",))
        if len(self.operations) > MAX_OPERATIONS:
            raise TooLargeError(f"a batch has at most {MAX_OPERATIONS} operations")


Operation: TypeAlias = Simple | Index | Transaction | LockOperation


def parse_fields(paths: Sequence[object] | None) -> tuple[Path, ...] | None:
    """The paths to keep, or None for everything.

    Raises:
        InvalidValueError: naming the bad place below `fields`.
    """
    if paths is None:
        return None
    if not isinstance(paths, (list, tuple)):
        raise InvalidValueError("fields is a list of paths", ("fields",))
    if len(paths) > MAX_FIELDS:
        raise InvalidValueError(f"fields has at most {MAX_FIELDS} paths", ("fields",))
    return tuple(parse_path(path, ("fields", position)) for position, path in enumerate(paths))
