"""A proxy in front of RabbitMQ that understands frames."""

from collections.abc import Iterator

from tests.chaos.proxy.connection import CutError, Screen
from tests.chaos.proxy.frames import ACK, DELIVER, NACK, PUBLISH, Frame, Frames, Place, Units
from tests.chaos.proxy.rules import Point, When
from tests.chaos.proxy.swapping import Shuffle, Swaps
from tests.chaos.proxy.tcp import TcpProxy, halved

_ASKED = {PUBLISH: Point.PUBLISH, ACK: Point.ACK}
_ANSWERED = {DELIVER: Point.DELIVERY, ACK: Point.CONFIRM, NACK: Point.CONFIRM}
_FLUSH = 64 * 1024  # bytes that are sent together


class AmqpProxy(TcpProxy):
    """As TcpProxy, and it cuts at publishes, confirms, deliveries and acks, and swaps publishes.

    A method and its content are one thing: a cut within leaves the reader with a half of its
    last frame. `shuffle.share` says how many publishes let the next one of their channel pass.
    Chunks are not counted here.
    """

    def __init__(self, url: str, *, seed: int = 0) -> None:
        super().__init__(url, seed=seed)
        self.shuffle = Shuffle(self._random)

    def screens(self, connection: int) -> tuple[Screen, Screen]:
        """See TcpProxy."""
        swaps = Swaps(self.shuffle)
        return _Asking(self, connection, swaps), _Answering(self, connection, swaps)


class _Counting:
    """Forwards frames and counts what passes."""

    def __init__(self, proxy: AmqpProxy, connection: int, points: dict[bytes, Point]) -> None:
        self._proxy = proxy
        self._connection = connection
        self._points = points
        self._frames = Frames()
        self._units = Units()

    def _forward(self, frames: Iterator[tuple[Frame, Place]]) -> Iterator[bytes]:
        ready = bytearray()
        for frame, place in frames:
            try:
                ready += self._counted(frame.raw, place)
            except _LastError as last:
                yield bytes(ready) + last.piece
                raise last.cut from None
            if len(ready) >= _FLUSH:
                yield bytes(ready)
                ready.clear()
        if ready:
            yield bytes(ready)

    def _counted(self, raw: bytes, place: Place) -> bytes:
        point = self._points.get(place.method)
        if point is None:
            return raw
        if place.first:
            try:
                self._proxy.begins(point, self._connection)
            except CutError as cut:
                raise _LastError(b"", cut) from None
        if place.last and (armed := self._proxy.passes(point, self._connection)):
            piece = halved(raw) if armed.cut.when is When.WITHIN else raw
            raise _LastError(piece, CutError(armed))
        return raw

    def _placed(self, chunk: bytes) -> Iterator[tuple[Frame, Place]]:
        for frame in self._frames.feed(chunk):
            yield frame, self._units.place(frame)


class _LastError(Exception):
    def __init__(self, piece: bytes, cut: CutError) -> None:
        super().__init__()
        self.piece = piece
        self.cut = cut


class _Asking(_Counting):
    """From the client to the broker. See Screen."""

    def __init__(self, proxy: AmqpProxy, connection: int, swaps: Swaps) -> None:
        super().__init__(proxy, connection, _ASKED)
        self._swaps = swaps

    @property
    def holding(self) -> bool:
        return self._swaps.holding

    def take(self, chunk: bytes) -> Iterator[bytes]:
        return self._forward(self._swapped(chunk))

    def rest(self) -> Iterator[bytes]:
        return self._forward(self._swaps.rest())

    def _swapped(self, chunk: bytes) -> Iterator[tuple[Frame, Place]]:
        for frame, place in self._placed(chunk):
            yield from self._swaps.asked(frame, place)


class _Answering(_Counting):
    """From the broker to the client. See Screen."""

    holding = False

    def __init__(self, proxy: AmqpProxy, connection: int, swaps: Swaps) -> None:
        super().__init__(proxy, connection, _ANSWERED)
        self._swaps = swaps

    def take(self, chunk: bytes) -> Iterator[bytes]:
        return self._forward(self._translated(chunk))

    def rest(self) -> Iterator[bytes]:
        yield from ()

    def _translated(self, chunk: bytes) -> Iterator[tuple[Frame, Place]]:
        for frame, place in self._placed(chunk):
            yield from self._swaps.answered(frame, place)
