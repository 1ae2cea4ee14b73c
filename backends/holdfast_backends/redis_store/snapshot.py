"""Reading. A snapshot pins the revision of all it reads, and stays one state by that.

Every call brings rows together with the revisions of everything read so far, atomically. As long
as these have not moved, what was read earlier still holds, so all of it is one state; when one
has moved, the snapshot is over and its user begins again.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from holdfast_backends.errors import StorageError
from holdfast_backends.store import (
    CommitConflictError,
    Head,
    IdentityKey,
    Loaded,
    Row,
    RowKey,
    Span,
    Wanted,
)

from .client import Argument, RedisClient, Reply, items, optional_texts, texts
from .layout import (
    ALL,
    Layout,
    index_bound,
    pack_identity,
    unpack_head,
    unpack_reply,
    unpack_row,
)
from .leases import Lease
from .reading import Answers, Reading
from .scripts import READ, SCAN

_PART = 256
"""How many rows are fetched at once where their sizes are unknown: at most 256 MiB."""

_T = TypeVar("_T")


class RedisSnapshot:
    """See store.Snapshot. Every method raises CommitConflictError when its state has passed."""

    def __init__(
        self,
        client: RedisClient,
        layout: Layout,
        lease: Lease | None = None,
        *,
        everything: bool = False,
    ) -> None:
        self._client = client
        self._layout = layout
        self._lease = lease
        self._always = (ALL,) if everything else ()
        self._pins: dict[bytes, bytes] = {}
        self._heads: dict[str, Head] = {}

    async def load(self, wanted: Wanted) -> Loaded:
        """See store.Snapshot; a round trip for each 256 rows or identities."""
        rows, identities = wanted.rows, wanted.identities
        first = slice(0, _PART)
        loaded = await self._load(wanted.collections, rows[first], identities[first])
        all_rows, all_replies = dict(loaded.rows), dict(loaded.replies)
        for at in range(_PART, max(len(rows), len(identities)), _PART):
            part = slice(at, at + _PART)
            more = await self._load((), rows[part], identities[part])
            all_rows.update(more.rows)
            all_replies.update(more.replies)
        return Loaded(loaded.heads, all_rows, all_replies)

    async def _load(
        self,
        collections: Sequence[str],
        places: Sequence[RowKey],
        identities: Sequence[IdentityKey],
    ) -> Loaded:
        keys: dict[str, list[bytes]] = {}
        for collection, key in places:
            keys.setdefault(collection, []).append(key)
        reading = self._reading(name.encode() for name in (*collections, *keys))
        heads = reading.hmget(self._layout.heads, [name.encode() for name in collections])
        packed = [pack_identity(identity) for identity in identities]
        replies = reading.hmget(self._layout.replies, packed)
        rows = {name: reading.hmget(self._layout.rows(name), keys[name]) for name in keys}
        answers = await self._read(reading)
        found = _present(zip(collections, answers.fields(heads), strict=True))
        self._heads.update((name, unpack_head(head)) for name, head in found)
        kept = _present(zip(identities, answers.fields(replies), strict=True))
        return Loaded(
            {name: self._heads[name] for name in collections if name in self._heads},
            _rows(keys, {name: answers.fields(ticket) for name, ticket in rows.items()}),
            {identity: unpack_reply(reply) for identity, reply in kept},
        )

    async def heads(self) -> Mapping[str, Head]:
        """See store.Snapshot; one round trip."""
        reading = self._reading((ALL,))
        ticket = reading.ask(b"HGETALL", self._layout.heads)
        pairs = (await self._read(reading)).texts(ticket)
        return {
            name.decode(): unpack_head(packed)
            for name, packed in zip(pairs[::2], pairs[1::2], strict=True)
        }

    async def scan(self, span: Span, limit: int) -> Sequence[Row]:
        """See store.Snapshot; one round trip."""
        collection = span.collection
        low, high = _bounds(span)
        query = (b"ZREVRANGEBYLEX", high, low) if span.descending else (b"ZRANGEBYLEX", low, high)
        order = self._layout.live(collection)
        if span.slot is not None:
            order = self._layout.index(collection, span.slot)
        page = (0, limit, int(span.slot is not None))
        return await self._scan(collection, order, (*query, *page), collection.encode())

    async def count(self, collection: str, now: int) -> int:
        """See store.Snapshot; one round trip."""
        reading = self._reading((collection.encode(),))
        asked = self._ask_count(reading, collection, now)
        return _counted(await self._read(reading), asked)

    async def counts(self, now: int) -> Mapping[str, int]:
        """See store.Snapshot; two round trips."""
        names = await self._collections()
        reading = self._reading((ALL,))
        asked = {name: self._ask_count(reading, name, now) for name in names}
        answers = await self._read(reading)
        counts = {name: _counted(answers, tickets) for name, tickets in asked.items()}
        return {name: count for name, count in counts.items() if count}

    async def expired(self, now: int, limit: int) -> Sequence[tuple[str, Row]]:
        """See store.Snapshot; two round trips, and one for each 256 rows of a collection."""
        names = await self._collections()
        reading = self._reading((ALL,))
        asked = {
            name: reading.ask(b"ZCOUNT", self._layout.expiry(name), b"-inf", now) for name in names
        }
        answers = await self._read(reading)
        found: list[tuple[str, Row]] = []
        for name, ticket in asked.items():
            count = min(answers.number(ticket), limit - len(found))
            for at in range(0, count, _PART):
                query = (b"ZRANGEBYSCORE", b"-inf", now, at, min(_PART, count - at), 0)
                rows = await self._scan(name, self._layout.expiry(name), query, ALL)
                found.extend((name, row) for row in rows)
        return found

    async def _collections(self) -> list[str]:
        """The names of all collections that ever changed, in order."""
        reading = self._reading((ALL,))
        ticket = reading.ask(b"HKEYS", self._layout.revisions)
        names = (await self._read(reading)).texts(ticket)
        return sorted(name.decode() for name in names if name != ALL)

    def _ask_count(self, reading: Reading, collection: str, now: int) -> tuple[int, int]:
        live = reading.ask(b"ZCARD", self._layout.live(collection))
        return live, reading.ask(b"ZCOUNT", self._layout.expiry(collection), b"-inf", now)

    def _fields(self, names: Iterable[bytes]) -> list[bytes]:
        new = dict.fromkeys((*self._always, *names))
        return [*self._pins, *(name for name in new if name not in self._pins)]

    def _reading(self, names: Iterable[bytes]) -> Reading:
        return Reading(self._layout, self._fields(names))

    async def _read(self, reading: Reading) -> Answers:
        await self._hold()
        reply = await self._client.call(READ, reading.keys, reading.arguments)
        answers = Answers(reading, reply)
        self._verify(reading.fields, answers.fields(reading.revisions))
        return answers

    async def _scan(
        self, collection: str, order: bytes, query: tuple[Argument, ...], pin: bytes
    ) -> list[Row]:
        await self._hold()
        fields = self._fields((pin,))
        keys = [self._layout.revisions, order, self._layout.rows(collection)]
        arguments = [len(fields), *fields, *query]
        revisions, found, rows = items(await self._client.call(SCAN, keys, arguments))
        self._verify(fields, optional_texts(revisions))
        return _scanned(found, rows)

    async def _hold(self) -> None:
        if self._lease is not None:
            await self._lease.prolong()

    def _verify(self, fields: Sequence[bytes], revisions: Sequence[bytes | None]) -> None:
        for field, revision in zip(fields, revisions, strict=True):
            if self._pins.setdefault(field, revision or b"") != (revision or b""):
                raise CommitConflictError


def _bounds(span: Span) -> tuple[bytes, bytes]:
    """From where to where, as ZRANGEBYLEX writes it: `[` includes, `(` does not."""
    low, high = b"-", b"+"
    if span.slot is not None and span.low is not None:
        low = b"[" + index_bound(span.low)
    if span.slot is not None and span.high is not None:
        high = b"(" + index_bound(span.high)
    if span.after is None:
        return low, high
    after = _behind(span.after, span)
    if span.descending:
        return low, b"(" + after if high == b"+" else min(high, b"(" + after)
    return b"(" + after if low == b"-" or after >= low[1:] else low, high


def _behind(place: tuple[bytes, bytes], span: Span) -> bytes:
    """The exclusive bound at a place. A member goes on behind its key, so an ascending bound
    passes it by the highest byte; a place before all keys has no member of its own."""
    value, key = place
    if span.slot is None:
        return key
    bound = index_bound(value) + key
    return bound if span.descending or not key else bound + b"\xff"


def _rows(
    keys: Mapping[str, Sequence[bytes]], packed: Mapping[str, Sequence[bytes | None]]
) -> dict[RowKey, Row]:
    return {
        (collection, key): unpack_row(key, row)
        for collection, wanted in keys.items()
        for key, row in _present(zip(wanted, packed[collection], strict=True))
    }


def _present(pairs: Iterable[tuple[_T, bytes | None]]) -> list[tuple[_T, bytes]]:
    return [(name, packed) for name, packed in pairs if packed is not None]


def _scanned(keys: Reply, rows: Reply) -> list[Row]:
    found = list(zip(texts(keys), optional_texts(rows), strict=True))
    present = _present(found)
    if len(present) < len(found):
        raise StorageError("a record that should be there is missing from the store")
    return [unpack_row(key, row) for key, row in present]


def _counted(answers: Answers, tickets: tuple[int, int]) -> int:
    live, expired = tickets
    return answers.number(live) - answers.number(expired)
