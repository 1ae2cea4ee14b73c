"""Restoring the order of execution: the processes of an agent append to a journal independently.

In each collection a line stands at its sequence, a change before what was answered after it. A
line goes once none of those at hand must come before it; otherwise the order of arrival stays.
Nonsense in a log (a circle) is broken up where it is met, and never waited for.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from heapq import heappop, heappush
from typing import Final

from .places import (
    AT_REST,
    FIRST_TOLD,
    RANK_BITS,
    REPEATED,
    identity_of,
    places_of,
    says_replayed,
)
from .reading import BadLine, LogEntry

WINDOW: Final = 10_000
"""Lines held at once: a line may come that much later than one that must wait for it."""
_WINDOW_BYTES: Final = 64 * 1024 * 1024
_REMEMBERED: Final = 500_000
"""Identities remembered at least; twice as many at most, at about 70 bytes each."""


def in_order(
    entries: Iterable[LogEntry | BadLine],
    window: int = WINDOW,
    *,
    window_bytes: int = _WINDOW_BYTES,
) -> Iterator[LogEntry | BadLine]:
    """The lines in an order in which they can have been executed.

    Args:
        window: lines held at once, 1 or more.
        window_bytes: of the lines held at once.
    """
    ordering = Ordering(window, window_bytes)
    for entry in entries:
        ordering.add(entry)
        while ordering.is_full:
            yield from ordering.take()
    while ordering.held:
        yield from ordering.take()


def without_repeats(
    entries: Iterable[LogEntry | BadLine],
    on_repeat: Callable[[LogEntry], None] | None = None,
) -> Iterator[LogEntry | BadLine]:
    """The lines without those that were appended twice, which only a journal has: lines that tell
    no place are not looked at, because in a log that somebody wrote an id may mean nothing.

    Args:
        on_repeat: told of each that is left out.
    """
    told = Memory()
    for entry in entries:
        if (
            isinstance(entry, LogEntry)
            and "order" in entry.exchange.extra
            and is_repeat(entry, told)
        ):
            if on_repeat is not None:
                on_repeat(entry)
        else:
            yield entry


def is_repeat(entry: LogEntry, told: "Memory") -> bool:
    """Whether the same answer was told before: at least once means that it may come again."""
    exchange = entry.exchange
    return not told.add(hash((exchange.agent, exchange.message.id, exchange.response.id)))


class Memory:
    """The newest keys of something endless: half of them go at once, the oldest."""

    def __init__(self, size: int = _REMEMBERED) -> None:
        self._size = size
        self._newer: set[int] = set()
        self._older: set[int] = set()

    def add(self, key: int) -> bool:
        """Remember a key; whether it is new."""
        if key in self._newer:
            return False
        is_new = key not in self._older
        if len(self._newer) >= self._size:
            self._older, self._newer = self._newer, set()
        self._newer.add(key)
        return is_new


class _Node:
    """A line that is held, and where it belongs."""

    __slots__ = ("entry", "identity", "is_gone", "is_waited_for", "keys", "number")

    def __init__(self, number: int, entry: LogEntry | BadLine) -> None:
        self.number = number
        self.entry = entry
        self.keys: dict[str, int] = {}
        self.identity: int | None = None
        self.is_gone = False
        self.is_waited_for = False


_Queue = list[tuple[int, int, _Node]]


class Ordering:
    """Holds lines until they may go. For an endless log; `in_order` is for one that ends."""

    def __init__(self, window: int = WINDOW, window_bytes: int = _WINDOW_BYTES) -> None:
        self._window = window
        self._window_bytes = window_bytes
        self._arrived: deque[_Node] = deque()
        self._queues: dict[str, _Queue] = {}
        self._known = Memory()
        self._first_told: dict[int, _Node] = {}
        self._count = 0
        self._bytes = 0
        self._number = 0

    @property
    def held(self) -> int:
        """How many lines wait."""
        return self._count

    @property
    def is_full(self) -> bool:
        """Whether the oldest must go now."""
        if self._count and not self._queues:
            return True  # nothing at hand has a place that another could come before
        return self._count > self._window or self._bytes > self._window_bytes

    def add(self, entry: LogEntry | BadLine) -> None:
        """The next line, as it arrived."""
        node = _Node(self._number, entry)
        self._number += 1
        self._arrived.append(node)
        self._count += 1
        self._bytes += entry.size
        if isinstance(entry, LogEntry):
            self._place(node, entry)

    def take(self) -> list[LogEntry | BadLine]:
        """The line that has waited longest, behind those that must come before it; none when
        nothing is held."""
        arrived = self._arrived
        while arrived and arrived[0].is_gone:
            arrived.popleft()
        if not arrived:
            return []
        oldest = arrived.popleft()
        oldest.is_waited_for = True
        path, taken = [oldest], []
        while path:
            before = self._before(path[-1])
            if before is None:
                taken.append(self._let_go(path.pop()))
            else:
                before.is_waited_for = True
                path.append(before)
        return taken

    # -- placing -------------------------------------------------------------------------------

    def _place(self, node: _Node, entry: LogEntry) -> None:
        places = places_of(entry)
        if not places:
            return
        node.identity = identity = identity_of(entry)
        rank = self._rank(node, entry, identity) if identity is not None else None
        for collection, (sequence, own) in places.items():
            self._enqueue(node, collection, sequence << RANK_BITS | (own if rank is None else rank))

    def _rank(self, node: _Node, entry: LogEntry, identity: int) -> int | None:
        """The rank of a stored answer: that of the change, while no line tells it itself."""
        is_new = self._known.add(identity)
        if not says_replayed(entry):
            other = self._first_told.pop(identity, None)
            if other is not None:
                self._lower(other)
            return None
        if not is_new:
            return REPEATED
        self._first_told[identity] = node
        return FIRST_TOLD if entry.exchange.response.ok else AT_REST

    def _lower(self, node: _Node) -> None:
        """The line of the change itself has come after all."""
        node.identity = None
        for collection, key in list(node.keys.items()):
            self._enqueue(node, collection, (key >> RANK_BITS) << RANK_BITS | REPEATED)

    def _enqueue(self, node: _Node, collection: str, key: int) -> None:
        node.keys[collection] = key
        queue = self._queues.get(collection)
        if queue is None:
            queue = self._queues[collection] = []
        heappush(queue, (key, node.number, node))

    # -- taking --------------------------------------------------------------------------------

    def _before(self, node: _Node) -> _Node | None:
        """A line that must come before this one; those that wait for this one are none."""
        for collection, key in node.keys.items():
            queue = self._queues[collection]
            while queue:
                placed, _number, first = queue[0]
                if placed >= key:
                    break
                if not first.is_gone and first.keys[collection] == placed:
                    if first.is_waited_for:
                        break
                    return first
                heappop(queue)
        return None

    def _let_go(self, node: _Node) -> LogEntry | BadLine:
        entry = node.entry
        node.is_gone = True
        self._count -= 1
        self._bytes -= entry.size
        for collection in node.keys:
            queue = self._queues[collection]
            while queue and queue[0][2].is_gone:
                heappop(queue)
            if not queue:
                del self._queues[collection]
        identity = node.identity
        if identity is None or self._first_told.get(identity) is not node:
            return entry
        del self._first_told[identity]
        return normalised(entry) if isinstance(entry, LogEntry) else entry


def normalised(entry: LogEntry) -> LogEntry:
    """A stored answer whose first telling is lost, as that first telling: its process died after
    the commit and before the journal had it. Whether it says `replayed` is not compared."""
    exchange = entry.exchange
    meta = {key: value for key, value in exchange.response.meta.items() if key != "replayed"}
    response = exchange.response.model_copy(update={"meta": meta})
    extra = dict(exchange.extra)
    sequence = meta.get("sequence")
    order = extra.get("order")
    if isinstance(order, dict) and len(order) == 1 and type(sequence) is int and response.ok:
        extra["order"] = {collection: [sequence, 1] for collection in order}
    told = replace(exchange, response=response, extra=extra)
    return replace(entry, exchange=told, stands_for_original=True)
