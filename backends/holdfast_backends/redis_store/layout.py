"""Which keys there are and how things look in them.

All keys begin with `{namespace}:`, whose braces put them into one hash slot of a cluster.

    layout                 string  the version of this layout
    revisions              hash    collection → token of its last change; `*` → of any change
    heads                  hash    collection → JSON {"last": id, "sequence": of its last change,
                                   "slots": [[number, path, ready, token]]}
    replies                hash    identity → instant, digest, outcome
    reply-times            zset    identity, by its instant
    rows:<collection>      hash    key → version, instants, document; tombstones too
    live:<collection>      zset    keys of rows with a document, all of score 0: in byte order
    expiry:<collection>    zset    keys of such rows that expire, by the instant
    index:<collection>:<n> zset    entries of slot n, all of score 0: in byte order
    events:<collection>    zset    the outbox: changes, by their sequence
    published              hash    collection → sequence up to which its events are published
    holder:<collection>    string  the lease: who may commit for now; `holder:*` is for all

Scores are doubles: integers up to 2^53 are exact. Microseconds reach that in the year 2255; the
longest time to live is 100 years.

Version 2 added sequences (absent in a head is 0), `events` and `published`. In version 1 leases
were `lease:<collection>`. A namespace that is upgraded keeps a `lease:*` without an end: it stops
the commits of processes of version 1 that still run, which would lose the sequences.
"""

import struct

import orjson

from holdfast_backends.encoding import BOOLEAN_CLASS, MAX_INDEXED_BYTES, NUMBER_CLASS, STRING_CLASS
from holdfast_backends.errors import StorageError
from holdfast_backends.store import EventRow, Head, IdentityKey, IndexSlot, Row, StoredReply

VERSION = b"2"
FORMER_VERSION = b"1"
"""What is upgraded at opening."""
ALL = b"*"
"""Stands for all collections, among revisions and leases; no collection is named so."""

_ROW = struct.Struct(">BQqqq")
_HAS_DOCUMENT = 1
_EXPIRES = 2
_REPLY = struct.Struct(">qH")
_LENGTH = struct.Struct(">H")
_EVENT = struct.Struct(">QBQqHHH")
_NOBODY = 0xFFFF  # in place of a length: there is no such text
_BEHIND = b"\xff"  # above every first byte of a key


class Layout:
    """The keys of one namespace."""

    def __init__(self, namespace: str) -> None:
        self._prefix = b"{" + namespace.encode() + b"}:"
        self.version = self._prefix + b"layout"
        self.revisions = self._prefix + b"revisions"
        self.heads = self._prefix + b"heads"
        self.replies = self._prefix + b"replies"
        self.reply_times = self._prefix + b"reply-times"
        self.published = self._prefix + b"published"
        self.former_lease = self._prefix + b"lease:*"
        self.probes = tuple(
            self._prefix + b"probe:" + kind for kind in (b"hash", b"zset", b"string")
        )

    def rows(self, collection: str) -> bytes:
        """The rows of a collection."""
        return self._prefix + b"rows:" + collection.encode()

    def live(self, collection: str) -> bytes:
        """The keys of its live rows."""
        return self._prefix + b"live:" + collection.encode()

    def expiry(self, collection: str) -> bytes:
        """When its live rows expire."""
        return self._prefix + b"expiry:" + collection.encode()

    def index(self, collection: str, slot: int) -> bytes:
        """The entries of an index."""
        return self._prefix + b"index:%b:%d" % (collection.encode(), slot)

    def events(self, collection: str) -> bytes:
        """The events of a collection."""
        return self._prefix + b"events:" + collection.encode()

    def lease(self, name: bytes) -> bytes:
        """The lease of a collection, or of ALL."""
        return self._prefix + b"holder:" + name


def pack_row(row: Row) -> bytes:
    """A row without its key."""
    flags = 0 if row.document is None else _HAS_DOCUMENT
    expires_at = row.expires_at
    if expires_at is not None:
        flags |= _EXPIRES
    head = _ROW.pack(flags, row.version, row.created_at, row.updated_at, expires_at or 0)
    return head + (row.document or b"")


def unpack_row(key: bytes, packed: bytes) -> Row:
    """The row that `pack_row` packed."""
    flags, version, created_at, updated_at, expires_at = _ROW.unpack_from(packed)
    document = packed[_ROW.size :] if flags & _HAS_DOCUMENT else None
    return Row(
        key, version, document, created_at, updated_at, expires_at if flags & _EXPIRES else None
    )


def pack_head(head: Head) -> bytes:
    """A head. Not its next id but the last one: 2^63 has no place in 64 bits."""
    slots = [[slot.number, list(slot.path), slot.ready, slot.token] for slot in head.slots]
    return orjson.dumps({"last": head.next_id - 1, "sequence": head.sequence, "slots": slots})


def unpack_head(packed: bytes) -> Head:
    """The head that `pack_head` packed."""
    match {"sequence": 0, **orjson.loads(packed)}:
        case {"last": int(last), "sequence": int(sequence), "slots": list(slots)}:
            return Head(last + 1, tuple(_unpack_slot(slot) for slot in slots), sequence)
        case _:
            raise StorageError("a collection's head cannot be read")


def _unpack_slot(slot: object) -> IndexSlot:
    match slot:
        case [int(number), list(path), bool(ready), int(token)]:
            return IndexSlot(number, tuple(str(segment) for segment in path), ready, token)
        case _:
            raise StorageError("a collection's head cannot be read")


def pack_identity(identity: IdentityKey) -> bytes:
    """An identity: both parts, unmistakably."""
    sender = identity[0].encode("utf-8", "surrogatepass")
    return _LENGTH.pack(len(sender)) + sender + identity[1].encode("utf-8", "surrogatepass")


def pack_reply(reply: StoredReply) -> bytes:
    """A stored reply."""
    return _REPLY.pack(reply.at, len(reply.digest)) + reply.digest + reply.outcome


def unpack_reply(packed: bytes) -> StoredReply:
    """The stored reply that `pack_reply` packed."""
    at, length = _REPLY.unpack_from(packed)
    end = _REPLY.size + length
    return StoredReply(packed[_REPLY.size : end], packed[end:], at)


def pack_event(event: EventRow) -> bytes:
    """An event. It begins with its sequence, so no two of a collection are the same."""
    sender, sender_length = _pack_text(event.sender)
    message_id, message_id_length = _pack_text(event.message_id)
    facts = event.sequence, event.kind, event.version, event.at
    head = _EVENT.pack(*facts, len(event.key), sender_length, message_id_length)
    return head + event.key + sender + message_id + event.document


def unpack_event(packed: bytes) -> EventRow:
    """The event that `pack_event` packed."""
    sequence, kind, version, at, length, sender_length, message_id_length = _EVENT.unpack_from(
        packed
    )
    end = _EVENT.size + length
    key = packed[_EVENT.size : end]
    sender, end = _unpack_text(packed, end, sender_length)
    message_id, end = _unpack_text(packed, end, message_id_length)
    return EventRow(sequence, kind, key, version, packed[end:], at, sender, message_id)


def _pack_text(text: str | None) -> tuple[bytes, int]:
    if text is None:
        return b"", _NOBODY
    packed = text.encode("utf-8", "surrogatepass")
    return packed, len(packed)


def _unpack_text(packed: bytes, start: int, length: int) -> tuple[str | None, int]:
    if length == _NOBODY:
        return None, start
    end = start + length
    return packed[start:end].decode("utf-8", "surrogatepass"), end


def index_member(value: bytes, key: bytes) -> bytes:
    """An entry of an index. Its last two bytes say where the key begins.

    Index values and keys are prefix-free, so two entries differ before those bytes: the order
    is that of (value, key).
    """
    return value + key + _LENGTH.pack(len(value))


def index_bound(value: bytes) -> bytes:
    """Where the entries begin whose index value is not below `value`.

    That is `value` itself, but where a whole index value is a proper prefix of it: that one is
    below it, while its entries, the key following the value, may stand behind it.
    """
    length = _value_length(value)
    if length is not None and length < len(value):
        return value[:length] + _BEHIND
    return value


def _value_length(value: bytes) -> int | None:
    """How long the whole index value is that these bytes begin with, None when none does."""
    first = value[:1]
    if not first:
        return None
    if first == STRING_CLASS:
        end = value.find(b"\x00", 1, MAX_INDEXED_BYTES)
        return end + 1 if end > 0 else MAX_INDEXED_BYTES
    if first == NUMBER_CLASS:
        return 11
    return 2 if first == BOOLEAN_CLASS else 1
