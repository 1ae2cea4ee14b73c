"""When a channel that the broker rejects publications on is to be replaced by another one."""

import time
from collections.abc import Callable
from typing import Final

_FIRST_PATIENCE: Final = 0.5  # seconds
_LONGEST_PATIENCE: Final = 30.0


class Doubts:
    """Tells a queue that is full from a channel that will never reach it.

    In a cluster a channel that first publishes to a quorum queue right after the death of its
    leader may be told of the dead one, and rejects everything to that queue until the dead node
    is back (rabbit_fifo_client of RabbitMQ 3.10: its first enqueue asks one member only). Another
    channel learns of the new leader. On a channel that a queue has accepted something from, a
    rejection means what it says.

    `clock` gives seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._accepted: set[str] = set()
        self._rejected_since: dict[str, float] = {}
        self._patience: dict[str, float] = {}  # of routes that another channel did not help

    def accepted(self, route: str) -> None:
        """A queue took something."""
        if route not in self._accepted:
            self._accepted.add(route)
            self._rejected_since.pop(route, None)
            self._patience.pop(route, None)

    def rejected(self, route: str) -> bool:
        """Whether to replace the channel, now that it has rejected something.

        Less and less often while that does not help, whatever other queues take: this one may be
        full indeed, and what else is under way on the channel is cut short each time.
        """
        if route in self._accepted:
            return False
        now, patience = self._clock(), self._patience.get(route, _FIRST_PATIENCE)
        if now - self._rejected_since.setdefault(route, now) < patience:
            return False
        self._patience[route] = min(patience * 2, _LONGEST_PATIENCE)
        return True

    def begin(self) -> None:
        """There is another channel."""
        self._accepted.clear()
        self._rejected_since.clear()
