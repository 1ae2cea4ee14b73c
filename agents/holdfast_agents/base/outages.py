"""Patience with a store that is away: how long, and when there is no point in it."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from .work import TransientError


def is_worth_another_try(stopping: asyncio.Event) -> Callable[[Exception], bool]:
    """Only what may pass, and not once the process is to end: another one will do it."""
    return lambda error: isinstance(error, TransientError) and not stopping.is_set()


class Outage:
    """Since when the store has been away, over all batches: only the first of them waits for
    all of the time, the next ones for what is left of it."""

    def __init__(self) -> None:
        self._since: float | None = None
        self.last: TransientError | None = None

    def seconds_left(self, patience: float) -> float:
        """How long to wait for the store from now on."""
        if self._since is None:
            return patience
        return max(0.1, patience - (monotonic() - self._since))

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Note how an attempt ends."""
        try:
            yield
        except TransientError as transient:
            self._since = monotonic() if self._since is None else self._since
            self.last = transient
            raise
        self._since = self.last = None
