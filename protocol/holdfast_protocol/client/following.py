"""Which change events a subscriber has, and which it misses. Nothing here waits.

Batches of events arrive by themselves: at least once, in order, and sometimes not at all. A
batch that continues what was seen, and leaves nothing out, is taken. After a gap, or when there
was no room, the collection is `behind`, and what it misses is fetched from the store, page by
page.
Source: the wire contract, section 9.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from holdfast_protocol.client.answers import unexpected
from holdfast_protocol.client.event_batches import (
    ahead_of_store,
    is_consecutive,
    read_batch,
    rising,
    size_of,
)
from holdfast_protocol.errors import HoldfastError
from holdfast_protocol.events import ChangeEvent, EventPattern

MAX_WAITING_BYTES: Final = 16 * 1024 * 1024


@dataclass(slots=True, eq=False)
class Follow:
    """How far one collection was followed.

    `seen` is the sequence up to which every event was taken or passed over, `handed_out`
    that of the last one handed out, `waiting` how many events wait in between. Up to
    `confirmed` the store knew of them; what is above was only pushed. Of what was
    seen, it was pushed up to `heard`. While a page
    is `fetching`, batches are `held`, those from `held_from` to `held_to`; `missed` tells
    that one of them could not be.
    """

    collection: str
    seen: int
    handed_out: int
    waiting: int = 0
    confirmed: int = 0
    heard: int = 0
    behind: bool = False
    fetching: bool = False
    missed: bool = False
    held: list[ChangeEvent] = field(default_factory=list)
    held_size: int = 0
    held_from: int = 0
    held_to: int = 0

    @property
    def position(self) -> int:
        """The sequence up to which every event that was wanted was handed out."""
        return self.handed_out if self.waiting else self.seen


class Inbox:
    """The events of one subscription that nobody has taken yet, bounded by count and bytes.

    Collections that are not in `start` are followed from their first event, as soon as the store
    tells of them. It is `uncertain` when something was heard that only the store can explain.
    """

    def __init__(self, pattern: EventPattern, start: Mapping[str, int], max_count: int) -> None:
        self._pattern = pattern
        self._max_count = max_count
        self._ready: deque[tuple[ChangeEvent, int, Follow]] = deque()
        self._count = 0
        self._bytes = 0
        self._behind: dict[str, Follow] = {}
        self._follows = {
            name: Follow(name, after, after, heard=after) for name, after in start.items()
        }
        self.uncertain = False

    @property
    def positions(self) -> dict[str, int]:
        """By collection: the sequence up to which everything was handed out."""
        return {name: follow.position for name, follow in self._follows.items()}

    @property
    def behind(self) -> Sequence[Follow]:
        """The collections whose events must be fetched."""
        return tuple(self._behind.values())

    @property
    def is_behind(self) -> bool:
        """Whether any collection's events must be fetched."""
        return bool(self._behind)

    @property
    def has_room(self) -> bool:
        """Whether it is time to fetch more."""
        return self._count <= self._max_count // 2 and self._bytes <= MAX_WAITING_BYTES // 2

    def page_limit(self, most: int) -> int:
        """How many events to fetch at once, `most` at most."""
        return max(1, min(most, self._max_count - self._count))

    def take(self) -> ChangeEvent | None:
        """The next event; None when none waits."""
        if not self._ready:
            return None
        event, size, follow = self._ready.popleft()
        self._count -= 1
        self._bytes -= size
        follow.waiting -= 1
        follow.handed_out = event.sequence
        return event

    def wants(self, collection: str) -> bool:
        """Whether the subscription is about that collection at all."""
        return self._pattern.collection in (None, collection)

    def follow(self, collection: str, after: int = 0) -> Follow:
        """The collection's state; one that is new is followed from the event after `after`, a
        sequence that the store told."""
        follow = self._follows.get(collection)
        if follow is None:
            follow = Follow(collection, after, after, confirmed=after, heard=after)
            self._follows[collection] = follow
        return follow

    def begin_compare(self) -> Mapping[str, int]:
        """What was seen by now: the store must have come as far when it is asked after this."""
        self.uncertain = False
        return {name: follow.seen for name, follow in self._follows.items()}

    def compare(self, seen: Mapping[str, int], told: Mapping[str, int]) -> None:
        """So far the collections have come: what is not here yet must be fetched.

        What was seen that no store has is taken back. Raises ConflictError where it was handed
        out already, or begun after.
        """
        for collection, last in told.items():
            follow = self.follow(collection)
            if last > follow.seen:
                self.fall_behind(follow)
        for collection, before in seen.items():
            self._confirm(self._follows[collection], before, told.get(collection, 0))

    def _confirm(self, follow: Follow, seen: int, last_sequence: int) -> None:
        """The store was asked after the events up to `seen`: whether it has come as far."""
        if seen <= last_sequence:
            follow.confirmed = max(follow.confirmed, seen)
            return
        # Either the store lost its last changes, or what was pushed never happened.
        innocent = follow.handed_out <= follow.confirmed <= last_sequence
        self._take_back(follow, min(follow.confirmed, last_sequence))
        if not innocent:
            raise ahead_of_store(follow.collection, seen, last_sequence)
        self.fall_behind(follow)

    def _take_back(self, follow: Follow, after: int) -> None:
        """What waits above a sequence is not handed out."""
        kept = deque(
            item for item in self._ready if item[2] is not follow or item[0].sequence <= after
        )
        gone = len(self._ready) - len(kept)
        self._bytes -= sum(size for _, size, _ in self._ready) - sum(size for _, size, _ in kept)
        self._count -= gone
        follow.waiting -= gone
        follow.seen = max(follow.handed_out, after)
        follow.heard = min(follow.heard, follow.seen)
        self._ready = kept

    def fall_behind(self, follow: Follow) -> None:
        """What comes next must be fetched."""
        if follow.fetching:
            follow.missed = True
            self._let_go(follow)
        else:
            follow.behind = True
            self._behind[follow.collection] = follow

    def hear(self, collection: str, body: bytes) -> None:
        """A batch arrived. Raises HoldfastError for what is none; it is then fetched."""
        follow = self._follows.get(collection)
        if follow is None:
            # Followed only when the store knows it: else anybody could make this grow.
            self.uncertain |= self.wants(collection)
            return
        if follow.behind and not follow.fetching:
            return  # the fetch brings it
        if self._is_full(1, 1):
            self.fall_behind(follow)
            return
        try:
            events = read_batch(collection, body)
        except HoldfastError:
            self.fall_behind(follow)
            raise
        if events:
            self._continue(follow, events, len(body))

    def begin_fetch(self, follow: Follow) -> int:
        """A page is asked for: after which sequence. Batches from now on are held."""
        follow.fetching, follow.missed = True, False
        return follow.seen

    def end_fetch(self, follow: Follow, page: Sequence[ChangeEvent], last_sequence: int) -> None:
        """The page came; `last_sequence` is how far the collection had come by then.

        Raises ConflictError as `compare`, and InternalError for a page that leads nowhere.
        """
        follow.fetching = False
        if last_sequence < follow.seen:
            self._let_go(follow)
            self._confirm(follow, follow.seen, last_sequence)
            return
        new = rising(page, follow.seen)
        if page and not new:
            self._let_go(follow)
            raise unexpected("progress from event to event")
        if new:
            wanted = self._wanted(new)
            self._put(follow, wanted, size_of(wanted), new[-1].sequence)
        complete = not page or follow.seen >= last_sequence
        if complete:
            follow.seen = max(follow.seen, last_sequence)
        follow.confirmed = follow.seen
        self._splice(follow, complete and not follow.missed)

    def _splice(self, follow: Follow, up_to_date: bool) -> None:
        """Take what was held, when it continues what was fetched; else go on fetching."""
        held, size, last = follow.held, follow.held_size, follow.held_to
        fits = up_to_date and follow.held_from <= follow.seen + 1
        self._let_go(follow)
        if not fits:
            return  # it is still behind
        if last > follow.seen:
            self._put(follow, rising(held, follow.seen), size, last)
        follow.behind = False
        self._behind.pop(follow.collection, None)

    def _continue(self, follow: Follow, events: list[ChangeEvent], size: int) -> None:
        holds = follow.fetching and follow.held_to > 0
        last = follow.held_to if follow.fetching else follow.seen
        if not is_consecutive(events):
            self.fall_behind(follow)  # the relay leaves nothing out: the store knows better
            return
        new = rising(events, last)
        if not new:
            self._hear_again(follow, events[-1].sequence)
            return
        wanted = self._wanted(new)
        size = size if wanted else 0
        # The first batch that is held may begin anywhere: the page that comes decides.
        goes_on = new[0].sequence == last + 1 or (follow.fetching and not holds)
        if not goes_on or self._is_full(len(wanted), size):
            self.fall_behind(follow)
        elif follow.fetching:
            follow.held_from = follow.held_from or new[0].sequence
            follow.held_to = new[-1].sequence
            follow.held += wanted
            follow.held_size += size
            self._count += len(wanted)
            self._bytes += size
        else:
            self._put(follow, wanted, size, new[-1].sequence)
            follow.heard = follow.seen

    def _hear_again(self, follow: Follow, last: int) -> None:
        """Nothing new was pushed. What was not pushed before was only fetched sooner; the rest is
        told by a relay that began again, or by a store that did."""
        self.uncertain |= last <= follow.heard
        follow.heard = max(follow.heard, min(last, follow.seen))

    def _wanted(self, events: Sequence[ChangeEvent]) -> list[ChangeEvent]:
        return [event for event in events if self._pattern.matches(event)]

    def _put(self, follow: Follow, events: Sequence[ChangeEvent], size: int, seen: int) -> None:
        """Let events wait for somebody to take them; all up to `seen` were looked at."""
        follow.seen = seen
        if not events:
            return
        each = size // len(events)
        self._ready.extend([(event, each, follow) for event in events])
        self._count += len(events)
        self._bytes += each * len(events)
        follow.waiting += len(events)

    def _let_go(self, follow: Follow) -> None:
        self._count -= len(follow.held)
        self._bytes -= follow.held_size
        follow.held = []
        follow.held_size = follow.held_from = follow.held_to = 0

    def _is_full(self, count: int, size: int) -> bool:
        if self._count + count > self._max_count:
            return True
        return self._bytes > 0 and self._bytes + size > MAX_WAITING_BYTES
