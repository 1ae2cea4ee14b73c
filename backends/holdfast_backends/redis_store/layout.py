"""Which keys there are and how things look in them.

All keys begin with `{namespace}:`, whose braces put them into one hash slot of a cluster.

    layout                 string  the version of this layout
    revisions              hash    collection → token of its last change; `*` → of any change
    heads                  hash    collection → JSON {"last": id,
                                   "slots": [[number, path, ready, token]]}
    replies                hash    identity → instant, digest, outcome
    reply-times            zset    identity, by its instant
    rows:<collection>      hash    key → version, instants, document; tombstones too
    live:<collection>      zset    keys of rows with a document, all of score 0: in byte order
    expiry:<collection>    zset    keys of such rows that expire, by the instant
    index:<collection>:<n> zset    entries of slot n, all of score 0: in byte order
    lease:<collection>     string  who may commit for now; `lease:*` is for all collections

Scores are doubles: integers up to 2^53 are exact. Microseconds reach that in the year 2255; the
longest time to live is 100 years.
"""

import struct

import orjson

from holdfast_backends.encoding import BOOLEAN_CLASS, MAX_INDEXED_BYTES, NUMBER_CLASS, STRING_CLASS
from holdfast_backends.errors import StorageError
from holdfast_backends.store import Head, IdentityKey, IndexSlot, Row, StoredReply

VERSION = b"1"
ALL = b"*"
"""Stands for all collections, among revisions and leases; no collection is named so."""

_ROW = struct.Struct(">BQqqq")
_HAS_DOCUMENT = 1
_EXPIRES = 2
_REPLY = struct.Struct(">qH")
_LENGTH = struct.Struct(">H")
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

    def lease(self, name: bytes) -> bytes:
        """The lease of a collection, or of ALL."""
        return self._prefix + b"lease:" + name


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
    return orjson.dumps({"last": head.next_id - 1, "slots": slots})


def unpack_head(packed: bytes) -> Head:
    """The head that `pack_head` packed."""
    match orjson.loads(packed):
        case {"last": int(last), "slots": list(slots)}:
            return Head(last + 1, tuple(_unpack_slot(slot) for slot in slots))
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
