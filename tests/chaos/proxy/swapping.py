"""Two publishes of one channel change places.

AMQP keeps the order on a channel, so what is simulated is what several connections would do.
What the broker says to them is put right by answering.py.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

from tests.chaos.proxy.answering import Answers, Pair
from tests.chaos.proxy.frames import (
    CHANNEL_OPEN,
    CONFIRM_SELECT,
    HEADER,
    METHOD,
    PUBLISH,
    Frame,
    Place,
    route,
)

_LARGEST = 64 * 1024  # bytes of a body that is held back


@dataclass(slots=True)
class Shuffle:
    """How often publishes are swapped, and how many were; can be changed at any time."""

    random: Random
    share: float = 0.0
    """Of the publishes, those that let the next one pass."""
    spared: tuple[str, ...] = (".events",)
    """What publishes to exchanges that end so keeps its order, as it does on any network: events
    are promised in their order to whoever has a queue."""
    swapped: int = 0


@dataclass(slots=True)
class _Held:
    tag: int
    frames: list[tuple[Frame, Place]] = field(default_factory=list)
    complete: bool = False
    overtaken_by: bytes | None = None

    @property
    def identity(self) -> tuple[bytes, bytes]:
        """Route and properties."""
        return route(self.frames[0][0]), self.frames[1][0].payload


class Swaps:
    """The swaps of one connection."""

    def __init__(self, shuffle: Shuffle) -> None:
        self._shuffle = shuffle
        self._published: dict[int, int] = {}  # by channel, in confirm mode
        self._answers: dict[int, Answers] = {}  # by channel, in confirm mode
        self._held: dict[int, _Held] = {}

    @property
    def holding(self) -> bool:
        """Whether a publish waits for the one that is to overtake it."""
        return bool(self._held)

    def asked(self, frame: Frame, place: Place) -> Iterator[tuple[Frame, Place]]:
        """A frame from the client: the frames that go to the broker now."""
        if frame.type == METHOD:
            self._count(frame)
        held = self._held.get(frame.channel)
        if held is None:
            if self._is_chosen(frame):
                self._hold(frame, place)
            else:
                yield frame, place
        elif not held.complete:
            yield from self._gather(held, frame, place)
        else:
            yield from self._overtake(held, frame, place)

    def rest(self) -> Iterator[tuple[Frame, Place]]:
        """What is held, as nothing follows."""
        for channel, held in list(self._held.items()):
            if held.overtaken_by is None:
                yield from self._let_go(channel)

    def answered(self, frame: Frame, place: Place) -> Iterator[tuple[Frame, Place]]:
        """A frame from the broker: the frames that go to the client now."""
        answers = self._answers.get(frame.channel)
        if answers is None or answers.idle:
            yield frame, place
        else:
            yield from answers.take(frame, place)

    def _count(self, frame: Frame) -> None:
        if frame.method == CHANNEL_OPEN:
            self._published.pop(frame.channel, None)
            self._answers.pop(frame.channel, None)
        elif frame.method == CONFIRM_SELECT:
            self._published[frame.channel] = 0
            self._answers[frame.channel] = Answers()
        elif frame.method == PUBLISH and frame.channel in self._published:
            self._published[frame.channel] += 1

    def _is_chosen(self, frame: Frame) -> bool:
        share = self._shuffle.share
        if frame.method != PUBLISH or share <= 0 or self._is_spared(frame):
            return False
        return self._shuffle.random.random() < share

    def _is_spared(self, frame: Frame) -> bool:
        where = route(frame)
        return where[1 : 1 + where[0]].decode().endswith(self._shuffle.spared)

    def _hold(self, frame: Frame, place: Place) -> None:
        tag = self._published.get(frame.channel, 0)
        self._held[frame.channel] = _Held(tag, [(frame, place)])

    def _gather(self, held: _Held, frame: Frame, place: Place) -> Iterator[tuple[Frame, Place]]:
        held.frames.append((frame, place))
        held.complete = place.last
        if frame.type == HEADER and int.from_bytes(frame.payload[4:12], "big") > _LARGEST:
            yield from self._let_go(frame.channel)

    def _overtake(self, held: _Held, frame: Frame, place: Place) -> Iterator[tuple[Frame, Place]]:
        if held.overtaken_by is None:
            if frame.method != PUBLISH or self._is_spared(frame):
                yield from self._let_go(frame.channel)
                yield frame, place
                return
            held.overtaken_by = route(frame)
            self._shuffle.swapped += 1
        if frame.type == HEADER and held.tag:
            pair = Pair(held.tag, held.identity, (held.overtaken_by, frame.payload))
            self._answers[frame.channel].pairs[held.tag] = pair
        yield frame, place
        if place.last:
            yield from self._let_go(frame.channel)

    def _let_go(self, channel: int) -> Iterator[tuple[Frame, Place]]:
        yield from self._held.pop(channel).frames
