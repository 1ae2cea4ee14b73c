"""What a simulation replaces of the real world while it runs: clocks and randomness.

All that the product reads of them: `time.monotonic`, `time.time`, `time.time_ns`,
`time.clock_gettime`, `datetime.now` (also where a module imported the function itself), and
`os.urandom` with what is made of it (`secrets`, `uuid4`, `SystemRandom`), the module `random`, and
the generator of message ids.
"""

import os
import random
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, tzinfo
from typing import Any, Final

import stamina.instrumentation

from holdfast_protocol.ids import uuid7
from tests.simulation.processes import CURRENT

EPOCH: Final = 1_800_000_000
"""The wall clock's second at which every simulation begins."""

_PATCHED: Final = ("holdfast_", "stamina", "tenacity")
_REAL_DATETIME: Final = datetime


class _Real(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _REAL_DATETIME)


@contextmanager
def simulated(now: Callable[[], float], seed: str) -> Iterator[None]:
    """For as long as it is entered, time is `now()` (seconds since the beginning), and what is
    random follows from the seed."""
    entropy = random.Random(f"entropy {seed}")
    state = random.getstate()
    hooks = stamina.instrumentation.get_on_retry_hooks()
    stamina.instrumentation.set_on_retry_hooks([])
    replaced = _replace(_substitutes(now, entropy))
    random.seed(entropy.random())
    uuid7.reseed()
    try:
        yield
    finally:
        for owner, name, value in replaced:
            setattr(owner, name, value)
        random.setstate(state)
        stamina.instrumentation.set_on_retry_hooks(hooks)
        uuid7.reseed()


def _substitutes(now: Callable[[], float], entropy: random.Random) -> Mapping[object, object]:
    """What stands for what."""

    def wall() -> float:
        process = CURRENT.get()
        return EPOCH + now() + (0.0 if process is None else process.wall_offset)

    class VirtualDatetime(datetime, metaclass=_Real):
        def __new__(cls, *args: Any, **named: Any) -> Any:
            return _REAL_DATETIME(*args, **named)

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            return _REAL_DATETIME.fromtimestamp(wall(), UTC).astimezone(tz)

    return {
        time.monotonic: now,
        time.time: wall,
        time.time_ns: lambda: round(wall() * 1_000_000) * 1_000,
        time.clock_gettime: lambda _clock: now(),
        os.urandom: entropy.randbytes,
        datetime: VirtualDatetime,
    }


def _replace(substitutes: Mapping[object, object]) -> list[tuple[object, str, object]]:
    """Set the substitutes everywhere; what was there before."""
    replaced: list[tuple[object, str, object]] = []
    for owner, name in _places(substitutes):
        value = getattr(owner, name)
        replaced.append((owner, name, value))
        setattr(owner, name, substitutes[value])
    return replaced


_known: list[tuple[object, str]] = []
_seen = 0


def _places(substitutes: Mapping[object, object]) -> list[tuple[object, str]]:
    """Where the functions stand: in their own modules, and wherever they were imported to."""
    global _seen  # a cache: the modules that are loaded change seldom
    if _seen != len(sys.modules):
        _seen = len(sys.modules)
        _known[:] = [
            (time, "monotonic"),
            (time, "time"),
            (time, "time_ns"),
            (time, "clock_gettime"),
            (os, "urandom"),
            (random, "_urandom"),
        ]
        for module_name, module in tuple(sys.modules.items()):
            if module_name.startswith(_PATCHED):
                for name, value in tuple(vars(module).items()):
                    if _is_one_of(value, substitutes):
                        _known.append((module, name))
    return _known


def _is_one_of(value: object, substitutes: Mapping[object, object]) -> bool:
    return any(value is one for one in substitutes)
