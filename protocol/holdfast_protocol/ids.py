"""UUIDv7 identifiers (RFC 9562, section 5.7), strictly increasing within a process.

After the 48 bits of milliseconds stand a counter of 26 bits (RFC 9562, section 6.2, method 1:
a random start in every new millisecond) and 48 fresh random bits. When the clock stands still
or goes back, the counter goes on, and where it is used up the milliseconds run ahead.
"""

import os
from random import Random
from threading import Lock
from time import time_ns
from typing import Final

_COUNTER_MAX: Final = 2**26 - 1
# The start leaves the counter's top bit clear: half of it is always left to count.
_START_BITS: Final = 25
_TAIL_BITS: Final = 48
_NANOS_PER_MILLI: Final = 1_000_000


class Uuid7Generator:
    """Makes UUIDv7 texts in strictly increasing order; safe to share between threads."""

    __slots__ = ("_bits", "_counter", "_head", "_lock", "_millis")

    def __init__(self) -> None:
        self.reseed()

    def reseed(self) -> None:
        """Start from fresh entropy; a forked child must not repeat its parent's numbers."""
        self._lock = Lock()
        self._bits = Random(os.urandom(32)).getrandbits  # noqa: S311 - unique, not secret
        self._begin(0)

    def __call__(self) -> str:
        """A fresh identifier, e.g. `01890a5d-ac96-774b-bcce-b302099a8057`."""
        millis = time_ns() // _NANOS_PER_MILLI
        with self._lock:
            if millis > self._millis:
                self._begin(millis)
            elif self._counter < _COUNTER_MAX:
                self._counter += 1
            else:
                self._begin(self._millis + 1)
            head, counter, tail = self._head, self._counter, self._bits(_TAIL_BITS)
        # Version and counter, variant and counter, randomness. `%` is twice an f-string's speed.
        groups = (head, 0x7000 | counter >> 14, 0x8000 | counter & 0x3FFF, tail)
        return "%s%04x-%04x-%012x" % groups  # noqa: UP031

    def _begin(self, millis: int) -> None:
        self._millis = millis
        self._head = f"{millis >> 16:08x}-{millis & 0xFFFF:04x}-"
        self._counter = self._bits(_START_BITS)


uuid7: Final = Uuid7Generator()
"""The process's generator: `uuid7()` is a fresh identifier."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=uuid7.reseed)
