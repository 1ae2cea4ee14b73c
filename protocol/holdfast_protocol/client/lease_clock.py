"""The clock by which a lease is believed to last: it goes on while the machine sleeps."""

import asyncio
import sys
import time
from typing import Final

_NOTICEABLE: Final = 0.01
"""Seconds. Two clocks are never read in the same moment; so little is no sleep."""


class LeaseClock:
    """The event loop's clock, and the time that the machine was suspended since it was made.

    The loop's own clock stands still meanwhile, and the store's does not. Where the system does
    not tell the difference (elsewhere than on Linux), it is the loop's clock alone.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._before = suspended()

    def time(self) -> float:
        """Seconds since some moment, never the wall clock's."""
        asleep = suspended() - self._before
        return self._loop.time() + (asleep if asleep > _NOTICEABLE else 0.0)


def suspended() -> float:
    """Seconds that the machine was suspended, from some fixed number on."""
    if sys.platform != "linux":
        return 0.0
    running = time.clock_gettime(time.CLOCK_MONOTONIC)
    return time.clock_gettime(time.CLOCK_BOOTTIME) - running
