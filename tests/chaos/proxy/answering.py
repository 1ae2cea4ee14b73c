"""What a broker says on a channel whose publishes changed places, as the client has to hear it.

The broker numbers publishes as they arrive, so the confirms of a pair are told under each
other's numbers. Returns carry no number and come in the order of the publishes, each before its
confirm: so a return of the publish that overtook waits, and all of its channel behind it, until
the other one of the pair is confirmed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from tests.chaos.proxy.frames import ACK, NACK, RETURN, Frame, Place, confirmed, confirming

Unit: TypeAlias = list[tuple[Frame, Place]]
"""The frames of a method and its content, in their order."""


@dataclass(slots=True)
class Pair:
    """Two publishes that changed places.

    Args:
        tag: of the one that the client published first; the broker gives it to the other one.
        second: what tells a return of the client's second one: route and properties.
    """

    tag: int
    first: tuple[bytes, bytes]
    second: tuple[bytes, bytes] | None = None
    first_confirmed: bool = False
    second_confirmed: bool = False


class Answers:
    """Of one channel, while publishes on it change places."""

    def __init__(self) -> None:
        self.pairs: dict[int, Pair] = {}
        self._gathering: Unit = []
        self._behind: Pair | None = None
        self._waiting: list[Unit] = []

    @property
    def idle(self) -> bool:
        """Whether everything passes as it is."""
        return not (self.pairs or self._gathering or self._waiting)

    def take(self, frame: Frame, place: Place) -> Iterator[tuple[Frame, Place]]:
        """A frame from the broker: those for the client now."""
        self._gathering.append((frame, place))
        if place.last:
            unit, self._gathering = self._gathering, []
            yield from self._told(unit)

    def _told(self, unit: Unit) -> Iterator[tuple[Frame, Place]]:
        frame = unit[0][0]
        if self._behind is None:
            self._behind = self._overtaken(unit)
            if self._behind is None:
                yield from self._translated(unit)
            else:
                self._waiting.append(unit)
        elif frame.method == RETURN and _identity(unit) == self._behind.first:
            yield from unit
        elif frame.method not in (ACK, NACK) or not _covers(frame, self._behind.tag + 1):
            self._waiting.append(unit)
        elif confirmed(frame)[1]:
            yield from self._let_go()
            yield from self._told(unit)  # another pair may have been behind the first
        else:
            yield from self._translated(unit)
            yield from self._let_go()

    def _overtaken(self, unit: Unit) -> Pair | None:
        """The pair of which this returns the second one before the first one is settled."""
        if unit[0][0].method != RETURN:
            return None
        identity = _identity(unit)
        for pair in self.pairs.values():
            if pair.second == identity and not pair.first_confirmed:
                return pair
        return None

    def _let_go(self) -> Iterator[tuple[Frame, Place]]:
        waiting, self._waiting = self._waiting, []
        if self._behind is not None:
            self._behind.first_confirmed = True
        self._behind = None
        for unit in waiting:
            yield from self._told(unit)

    def _translated(self, unit: Unit) -> Iterator[tuple[Frame, Place]]:
        frame, place = unit[0]
        if frame.method not in (ACK, NACK):
            yield from unit
            return
        tag, multiple = confirmed(frame)
        if multiple:
            self.pairs = {first: pair for first, pair in self.pairs.items() if first >= tag}
            if tag not in self.pairs:
                yield frame, place
                return
            if tag > 1:
                yield confirming(frame, tag - 1, multiple=True), place
        yield confirming(frame, self._partner(tag), multiple=False), place

    def _partner(self, tag: int) -> int:
        """What a broker's tag is to the client."""
        if tag in self.pairs:
            self.pairs[tag].second_confirmed = True
            self._forget(tag)
            return tag + 1
        if tag - 1 in self.pairs:
            self.pairs[tag - 1].first_confirmed = True
            self._forget(tag - 1)
            return tag - 1
        return tag

    def _forget(self, tag: int) -> None:
        pair = self.pairs[tag]
        if pair.first_confirmed and pair.second_confirmed:
            del self.pairs[tag]


def _identity(unit: Unit) -> tuple[bytes, bytes]:
    """Of a return: route and properties of what is returned."""
    payload = unit[0][0].payload
    return payload[4 + 2 + 1 + payload[6] :], unit[1][0].payload


def _covers(frame: Frame, tag: int) -> bool:
    told, multiple = confirmed(frame)
    return told == tag or (multiple and told > tag)
