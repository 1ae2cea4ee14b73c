"""Two publishes of one channel change places; their confirms, too.

AMQP keeps the order on a channel, so what is simulated is what several connections would do.
The broker numbers publishes as they arrive, so its confirms of a swapped pair are told to the
client under each other's numbers. Returns carry no number, and a client may expect them in the
order of its publishes: so mandatory publishes are swapped only when both go the same way, of
which the broker returns both or neither.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

from tests.chaos.proxy.frames import (
    ACK,
    CHANNEL_OPEN,
    CONFIRM_SELECT,
    HEADER,
    METHOD,
    NACK,
    PUBLISH,
    Frame,
    Place,
    confirmed,
    confirming,
    route,
)

_LARGEST = 64 * 1024  # bytes of a body that is held back


@dataclass(slots=True)
class Shuffle:
    """How often publishes are swapped, and how many were; can be changed at any time."""

    random: Random
    share: float = 0.0
    """Of the publishes, those that let the next one pass."""
    swapped: int = 0


@dataclass(slots=True)
class _Held:
    tag: int
    route: tuple[bytes, bool]
    frames: list[tuple[Frame, Place]] = field(default_factory=list)
    complete: bool = False
    overtaken: bool = False


class Swaps:
    """The swaps of one connection."""

    def __init__(self, shuffle: Shuffle) -> None:
        self._shuffle = shuffle
        self._published: dict[int, int] = {}  # by channel, in confirm mode
        self._pairs: dict[int, dict[int, int]] = {}  # by channel: first tag → confirms to come
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
            if not held.overtaken:
                yield from self._let_go(channel)

    def answered(self, frame: Frame) -> bytes:
        """The bytes for a frame from the broker."""
        pairs = self._pairs.get(frame.channel)
        if not pairs or frame.method not in (ACK, NACK):
            return frame.raw
        tag, multiple = confirmed(frame)
        told = b""
        if multiple:
            for earlier in [one for one in pairs if one < tag]:
                del pairs[earlier]
            if tag in pairs and tag > 1:
                told = confirming(frame, tag - 1, multiple=True)
        for first, other in ((tag, tag + 1), (tag - 1, tag - 1)):
            if first in pairs:
                pairs[first] -= 1
                if not pairs[first]:
                    del pairs[first]
                return told + confirming(frame, other, multiple=False)
        return frame.raw

    def _count(self, frame: Frame) -> None:
        if frame.method == CHANNEL_OPEN:
            self._published.pop(frame.channel, None)
            self._pairs.pop(frame.channel, None)
        elif frame.method == CONFIRM_SELECT:
            self._published[frame.channel] = 0
        elif frame.method == PUBLISH and frame.channel in self._published:
            self._published[frame.channel] += 1

    def _is_chosen(self, frame: Frame) -> bool:
        share = self._shuffle.share
        return frame.method == PUBLISH and share > 0 and self._shuffle.random.random() < share

    def _hold(self, frame: Frame, place: Place) -> None:
        tag = self._published.get(frame.channel, 0)
        self._held[frame.channel] = _Held(tag, route(frame), [(frame, place)])

    def _gather(self, held: _Held, frame: Frame, place: Place) -> Iterator[tuple[Frame, Place]]:
        held.frames.append((frame, place))
        held.complete = place.last
        if frame.type == HEADER and int.from_bytes(frame.payload[4:12], "big") > _LARGEST:
            yield from self._let_go(frame.channel)

    def _overtake(self, held: _Held, frame: Frame, place: Place) -> Iterator[tuple[Frame, Place]]:
        if not held.overtaken and not _may_overtake(held, frame):
            yield from self._let_go(frame.channel)
            yield frame, place
            return
        if not held.overtaken:
            held.overtaken = True
            self._shuffle.swapped += 1
            if held.tag:
                self._pairs.setdefault(frame.channel, {})[held.tag] = 2
        yield frame, place
        if place.last:
            yield from self._let_go(frame.channel)

    def _let_go(self, channel: int) -> Iterator[tuple[Frame, Place]]:
        yield from self._held.pop(channel).frames


def _may_overtake(held: _Held, frame: Frame) -> bool:
    if frame.method != PUBLISH:
        return False
    (_, held_mandatory), (_, mandatory) = held.route, route(frame)
    return not (held_mandatory or mandatory) or held.route == route(frame)
