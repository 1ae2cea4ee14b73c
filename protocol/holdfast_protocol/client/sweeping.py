"""One timer for every wait of a client."""

import asyncio
from collections.abc import Callable
from math import inf
from typing import Final

GRANULARITY: Final = 0.005
"""Seconds that lie at least between two sweeps, however many moments come close together."""


class Sweeper:
    """Calls `sweep(now)` when the earliest moment asked for has come.

    `sweep` returns the next moment it wants to be called at, infinite for none. Moments are
    seconds of the event loop's clock.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, sweep: Callable[[float], float]) -> None:
        self._loop = loop
        self._sweep = sweep
        self._timer: asyncio.TimerHandle | None = None
        self._set_for = inf
        self._not_before = -inf

    def wake_by(self, moment: float) -> None:
        """Sweep at that moment at the latest."""
        if moment < self._set_for:
            self.close()
            self._set_for = moment
            self._timer = self._loop.call_at(max(moment, self._not_before), self._run)

    def close(self) -> None:
        """Sweep no more, until asked again."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._set_for = inf

    def _run(self) -> None:
        self._timer, self._set_for = None, inf
        now = self._loop.time()
        self._not_before = now + GRANULARITY
        self.wake_by(self._sweep(now))
