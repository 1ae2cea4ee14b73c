"""UUIDv7 identifiers (RFC 9562, section 5.7), strictly increasing within a process.

The 74 bits after the milliseconds are one counter (method 1 and 2 of RFC 9562, section 6.2):
a random start in every new millisecond, a random step within one. When the clock stands still
or goes back, the counter goes on from the last identifier, so order never breaks.
"""

import os
import random
import time
from threading import Lock

_VERSION = 0x7 << 76
_VARIANT = 0b10 << 62
_LOW_BITS = 62
_LOW_MASK = (1 << _LOW_BITS) - 1
_COUNTER_BITS = 74
# The start leaves the counter's top bit clear, so that a millisecond cannot overflow it.
_START_BITS = _COUNTER_BITS - 1
_STEP_BITS = 32


class Uuid7Generator:
    """Makes UUIDv7 texts in strictly increasing order; safe to share between threads."""

    __slots__ = ("_lock", "_random", "_state")

    def __init__(self) -> None:
        self._lock = Lock()
        self._random = random.Random(os.urandom(32))  # noqa: S311 - unique, not secret
        self._state = 0

    def reseed(self) -> None:
        """Start from fresh entropy; a forked child must not repeat its parent's numbers."""
        self._lock = Lock()
        self._random.seed(os.urandom(32))
        self._state = 0

    def __call__(self) -> str:
        """A fresh identifier, e.g. `01890a5d-ac96-774b-bcce-b302099a8057`."""
        millis = time.time_ns() // 1_000_000
        with self._lock:
            bits = self._random.getrandbits
            state = millis << _COUNTER_BITS | bits(_START_BITS)
            if state <= self._state or self._state >> _COUNTER_BITS == millis:
                state = self._state + bits(_STEP_BITS) + 1
            self._state = state
        counter_low = state & _LOW_MASK
        high = state >> _LOW_BITS
        value = (high >> 12) << 80 | _VERSION | (high & 0xFFF) << 64 | _VARIANT | counter_low
        text = f"{value:032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


uuid7 = Uuid7Generator()
"""The process's generator: `uuid7()` is a fresh identifier."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=uuid7.reseed)
