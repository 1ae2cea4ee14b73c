"""How much may be under way at once: a count and a number of bytes, first come first served."""

import asyncio
from collections import deque

from holdfast_protocol.errors import BusClosedError


class Room:
    """Bounds messages under way. An item larger than all the bytes goes alone."""

    def __init__(self, max_count: int, max_bytes: int) -> None:
        self._max_count = max_count
        self._max_bytes = max_bytes
        self._count = 0
        self._bytes = 0
        self._waiting: deque[tuple[asyncio.Future[None], int]] = deque()
        self._closed = False

    def try_enter(self, size: int) -> bool:
        """Take a place of `size` bytes; False when somebody must leave first."""
        if self._waiting or not self._fits(size):
            return False
        self._count += 1
        self._bytes += size
        return True

    async def enter(self, size: int) -> None:
        """Take a place as soon as there is one. Raises BusClosedError when closed."""
        if self._closed:
            raise BusClosedError("The client was closed")
        if self.try_enter(size):
            return
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((place, size))
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled() and place.exception() is None:
                self.leave(size)  # it was given to us in the moment of the cancellation
            else:
                self._admit()
            raise

    def leave(self, size: int) -> None:
        """Give a place back, to those who wait first."""
        self._count -= 1
        self._bytes -= size
        if self._waiting:
            self._admit()

    def close(self) -> None:
        """Whoever waits gets a BusClosedError."""
        self._closed = True
        waiting, self._waiting = self._waiting, deque()
        for place, _ in waiting:
            if not place.done():
                place.set_exception(BusClosedError("The client was closed"))

    def _admit(self) -> None:
        while self._waiting:
            place, size = self._waiting[0]
            if not place.done():
                if not self._fits(size):
                    return
                self._count += 1
                self._bytes += size
                place.set_result(None)
            self._waiting.popleft()

    def _fits(self, size: int) -> bool:
        return self._count < self._max_count and (
            self._count == 0 or self._bytes + size <= self._max_bytes
        )
