"""What a change of a row means for its hash, its order, its expiry and its indexes."""

from collections.abc import Sequence

from holdfast_backends.store import (
    Changes,
    EventRow,
    Head,
    IndexSlot,
    Row,
    RowChange,
    StoredReply,
    index_entries,
)

from .client import Argument
from .commands import Commands
from .layout import (
    Layout,
    index_member,
    pack_event,
    pack_head,
    pack_identity,
    pack_reply,
    pack_row,
)

_Gathered = dict[tuple[bytes, bytes], list[Argument]]


class Writes:
    """Gathers the writes of a commit: one command for each kind and key, however many rows."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._removals: _Gathered = {}
        self._additions: _Gathered = {}
        self.identities: list[bytes] = []

    def gather(self, changes: Changes, heads: dict[str, Head]) -> None:
        """Take up all changes; `heads` are the changed ones as they were loaded."""
        for name, head in changes.heads.items():
            self._head(name, heads.get(name, Head()), head)
        for (name, _key), change in changes.rows.items():
            self._row(name, change, changes.slots.get(name, ()))
        for identity, reply in changes.replies.items():
            self._reply(pack_identity(identity), reply)
        for name, events in changes.events.items():
            self._events(self._layout.events(name), events)

    def removals(self, commands: Commands) -> None:
        """Add what only removes: the server allows it even when its memory is used up."""
        for (name, key), arguments in self._removals.items():
            commands.add(name, key, arguments)

    def additions(self, commands: Commands) -> None:
        """Add the rest. It comes behind the removals: a dropped index may be filled anew."""
        for (name, key), arguments in self._additions.items():
            commands.add(name, key, arguments)

    def _head(self, name: str, before: Head, head: Head) -> None:
        self._put(self._layout.heads, name.encode(), pack_head(head))
        kept = {(slot.number, slot.path) for slot in head.slots}
        for slot in before.slots:
            # Whatever a place held of another path must be gone before it is used again.
            if (slot.number, slot.path) not in kept:
                self._removals[b"UNLINK", self._layout.index(name, slot.number)] = []

    def _row(self, name: str, change: RowChange, slots: Sequence[IndexSlot]) -> None:
        before, row = change.previous, change.row
        if before != row:
            self._put(self._layout.rows(name), row.key, pack_row(row))
        self._liveness(name, _is_live(before), row)
        self._expiry(name, before, row)
        if slots:
            self._indexes(name, change, slots)

    def _liveness(self, name: str, was_live: bool, row: Row) -> None:
        if _is_live(row) and not was_live:
            self._score(self._layout.live(name), 0, row.key)
        elif was_live and not _is_live(row):
            self._remove(self._layout.live(name), row.key)

    def _expiry(self, name: str, before: Row | None, row: Row) -> None:
        was = before.expires_at if before is not None and _is_live(before) else None
        becomes = row.expires_at if _is_live(row) else None
        if becomes is not None and becomes != was:
            self._score(self._layout.expiry(name), becomes, row.key)
        elif was is not None and becomes is None:
            self._remove(self._layout.expiry(name), row.key)

    def _indexes(self, name: str, change: RowChange, slots: Sequence[IndexSlot]) -> None:
        key = change.row.key
        before, after = index_entries(change.previous, slots), index_entries(change.row, slots)
        for slot in slots:
            old, new = before.get(slot.number), after.get(slot.number)
            if old == new and slot.ready:
                continue
            index = self._layout.index(name, slot.number)
            if old is not None and old != new:
                self._remove(index, index_member(old, key))
            if new is not None:
                self._score(index, 0, index_member(new, key))

    def _reply(self, identity: bytes, reply: StoredReply) -> None:
        self.identities.append(identity)
        self._put(self._layout.replies, identity, pack_reply(reply))
        self._score(self._layout.reply_times, reply.at, identity)

    def _events(self, key: bytes, events: Sequence[EventRow]) -> None:
        for event in events:
            self._score(key, event.sequence, pack_event(event))

    def _put(self, key: bytes, field: bytes, value: bytes) -> None:
        self._additions.setdefault((b"HSET", key), []).extend((field, value))

    def _score(self, key: bytes, score: int, member: bytes) -> None:
        self._additions.setdefault((b"ZADD", key), []).extend((score, member))

    def _remove(self, key: bytes, member: bytes) -> None:
        self._removals.setdefault((b"ZREM", key), []).append(member)


def _is_live(row: Row | None) -> bool:
    return row is not None and row.document is not None
