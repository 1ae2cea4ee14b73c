"""One direction of a connection: bytes that wait until they are due, in a bounded room."""

import asyncio
from collections import deque
from random import Random

_ROOM = 1024 * 1024  # bytes that may wait in one direction; beyond it nothing more is read


class Weather:
    """How a proxy treats bytes at the moment: all of it can be changed while they flow.

    Args:
        random: draws the latencies.
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self.latency: tuple[float, float] = (0.0, 0.0)
        """The least and the most seconds that a chunk takes."""
        self.bytes_per_second: float | None = None
        """In each direction of each connection; None for as fast as it goes."""
        self._passable = asyncio.Event()
        self._passable.set()

    def delay(self) -> float:
        """Seconds that the next chunk takes."""
        low, high = self.latency
        return self._random.uniform(low, high) if high > 0 else 0.0

    def swallow(self) -> None:
        """Let nothing through any more; the connections stay open, new ones are accepted."""
        self._passable.clear()

    def release(self) -> None:
        """Let through what has waited, and everything after it."""
        self._passable.set()

    async def passable(self) -> None:
        """Until something may pass."""
        await self._passable.wait()

    async def throttle(self, size: int) -> None:
        """For as long as that many bytes take."""
        if self.bytes_per_second is not None:
            await asyncio.sleep(size / self.bytes_per_second)


class Line:
    """Chunks in their order, each due after the latency that was drawn for it."""

    def __init__(self, weather: Weather) -> None:
        self._weather = weather
        self._waiting: deque[tuple[float, bytes | None]] = deque()
        self._size = 0
        self._last_due = 0.0
        self._changed = asyncio.Condition()

    async def put(self, chunk: bytes | None) -> None:
        """Add a chunk, b"" for the end, None for a lost one, as soon as there is room."""
        due = asyncio.get_running_loop().time() + self._weather.delay()
        async with self._changed:
            await self._changed.wait_for(lambda: self._size < _ROOM)
            self._last_due = max(self._last_due, due)
            self._waiting.append((self._last_due, chunk))
            self._size += len(chunk or b"")
            self._changed.notify_all()

    async def get(self) -> bytes | None:
        """The next chunk when it is due and something may pass; b"" and None as they were put.

        One task at a time; cancelled, it has taken nothing.
        """
        async with self._changed:
            await self._changed.wait_for(lambda: bool(self._waiting))
        due, chunk = self._waiting[0]
        pause = due - asyncio.get_running_loop().time()
        if pause > 0:
            await asyncio.sleep(pause)
        await self._weather.passable()
        async with self._changed:
            self._waiting.popleft()
            self._size -= len(chunk or b"")
            self._changed.notify_all()
        return chunk
