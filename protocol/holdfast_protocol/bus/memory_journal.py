"""The journal of the in-process bus: its newest chunks, in memory."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from datetime import UTC, datetime

MAX_JOURNAL_BYTES = 64 * 1024 * 1024
_OVERHEAD = 200  # bytes that keeping a chunk costs beside its body


class MemoryJournal:
    """The newest chunks, `max_bytes` together at most (but always the last one)."""

    def __init__(self, max_bytes: int = MAX_JOURNAL_BYTES) -> None:
        self._max_bytes = max_bytes
        self._chunks: deque[tuple[int, datetime, bytes]] = deque()
        self._bytes = 0
        self._next = 0
        self._appended = asyncio.Event()

    def append(self, body: bytes) -> None:
        self._chunks.append((self._next, datetime.now(UTC), body))
        self._next += 1
        self._bytes += len(body) + _OVERHEAD
        while self._bytes > self._max_bytes and len(self._chunks) > 1:
            self._bytes -= len(self._chunks.popleft()[2]) + _OVERHEAD
        self.wake()

    def wake(self) -> None:
        """Let whoever follows look around."""
        self._appended.set()
        self._appended = asyncio.Event()

    async def read(self, since: datetime | None, *, follow: bool) -> AsyncGenerator[bytes, None]:
        """From the first, or the first appended at or after `since`. An empty chunk, while
        following, means that somebody woke the reader to look around."""
        end = self._next
        position = 0
        while follow or position < end:
            chunk = self._from(position, since)
            if chunk is not None:
                position = chunk[0] + 1
                if follow or position <= end:
                    yield chunk[2]
            elif follow:
                appended = self._appended
                await appended.wait()
                yield b""
            else:
                return

    def _from(self, position: int, since: datetime | None) -> tuple[int, datetime, bytes] | None:
        """The first chunk at or after a position."""
        if not self._chunks:
            return None
        start = max(0, position - self._chunks[0][0])
        for index in range(start, len(self._chunks)):
            chunk = self._chunks[index]
            if since is None or chunk[1] >= since:
                return chunk
        return None
