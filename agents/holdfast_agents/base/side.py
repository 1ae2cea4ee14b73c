"""The queue of slow reads: a few run at a time, a bounded number waits."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from typing import Final

_SHORTEST_RETRY: Final = 0.1
_LONGEST_RETRY: Final = 30.0
_WEIGHT: Final = 0.2
"""Of the newest duration in the moving average."""


class SideQueue:
    """Turns for what runs beside the batches.

    Args:
        at_once: how many run at a time.
        waiting: how many wait for that.
    """

    def __init__(self, at_once: int, waiting: int) -> None:
        self._at_once = at_once
        self._most = at_once + waiting
        self._turns = asyncio.Semaphore(at_once)
        self._inside = 0
        self._average = 0.0

    @property
    def retry_after(self) -> float:
        """Seconds until those that wait now will have had their turn, about."""
        needed = self._inside * self._average / self._at_once
        return round(min(max(needed, _SHORTEST_RETRY), _LONGEST_RETRY), 3)

    def admit(self) -> bool:
        """Take a place, to be used by `turn`; False when no more may wait."""
        if self._inside >= self._most:
            return False
        self._inside += 1
        return True

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn, have it, and leave the place that was taken."""
        try:
            async with self._turns:
                began = monotonic()
                yield
                self._average += _WEIGHT * (monotonic() - began - self._average)
        finally:
            self._inside -= 1
