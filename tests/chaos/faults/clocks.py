"""The wall clock of an agent process jumps; its monotonic clock goes on as ever.

By libfaketime, which stands between a process and the C library. A process is started with
`Clock.settings()` in its environment, and `release` is called once it runs; several may share
one clock. Other processes, and the servers, keep the right time.
"""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Final

from localservices import packages
from localservices.model import ServiceError
from tests.chaos.faults.abilities import NotHereError
from tests.chaos.faults.contract import Strike

_PACKAGE: Final = "libfaketime"
_PLACES: Final = (
    "usr/lib/*/faketime/libfaketime.so.1",
    "usr/lib/faketime/libfaketime.so.1",
    "usr/lib64/faketime/libfaketime.so.1",
    "usr/local/lib/faketime/libfaketime.so.1",
)
_SEEN_WITHIN: Final = 1.1  # seconds: the library looks once in each second at what it is told
_MINUTE, _HOUR = 60.0, 3600.0
JUMPS: Final = (_MINUTE, 10 * _MINUTE, _HOUR, 20 * _HOUR)
"""Shorter than events and identities are kept by default: a jump beyond that forgets them."""


def find_library() -> Path:
    """Where libfaketime is; installed first where that is allowed. Raises NotHereError."""
    if (found := _found()) is not None:
        return found
    try:
        packages.install([_PACKAGE], lambda _line: None)
    except ServiceError as error:
        raise NotHereError(f"clocks cannot jump here without libfaketime: {error}") from error
    if (found := _found()) is None:
        raise NotHereError(f"the package {_PACKAGE} brought no libfaketime.so.1")
    return found


class Clock:
    """The wall clock of the processes that were started with its settings.

    Args:
        file: where the library reads how wrong it is.

    Raises NotHereError where the library is missing.
    """

    def __init__(self, file: Path) -> None:
        self._library = find_library()
        self._file = file
        self._set(0)

    def settings(self) -> dict[str, str]:
        """For the environment of a process."""
        return {
            "LD_PRELOAD": str(self._library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            # It looks again when more whole seconds than these have passed: 1 would mean two.
            "FAKETIME_CACHE_DURATION": "0",
            # One of them is the name in newer releases, the other in older ones.
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
            # Times of files stay as they are.
            "NO_FAKE_STAT": "1",
        }

    async def jump_to(self, seconds: float) -> None:
        """So far from the right time, negative for the past; returns when it is seen."""
        self._set(seconds)
        await asyncio.sleep(_SEEN_WITHIN)

    def _set(self, seconds: float) -> None:
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{seconds:+f}\n")
        fresh.replace(self._file)


def shared_by(pid: int) -> list[Path]:
    """The files of the memory that libfaketime shares between a process and its children."""
    names = (f"faketime_shm_{pid}", f"sem.faketime_sem_{pid}")
    return [path for name in names if (path := Path("/dev/shm") / name).exists()]


def release(pid: int) -> None:
    """Remove these files of a process that runs: killed, it would leave them for ever.

    It has opened them and keeps their memory to its end; nobody else needs them.
    """
    for path in shared_by(pid):
        path.unlink()


class JumpClock:
    """The clock jumps by minutes or hours, forwards or back, and to the right time afterwards.

    For a storm: `Agent(…, settings | clock.settings(), …)`, `release(agent.pid)` when it is ready,
    and `JumpClock(clock)` for the faults.
    It may also be left wrong (`back=False`); the next strike moves it on from there.

    Args:
        jumps: seconds, of which one is drawn; all shorter than anything is kept
            (HOLDFAST_EVENT_RETENTION_HOURS, HOLDFAST_RETENTION_DAYS).
        seconds: how long it is wrong, at least and at most.
        at: see `Strike`.
    """

    kind = "jump clock"

    def __init__(
        self,
        clock: Clock,
        *,
        jumps: Sequence[float] = JUMPS,
        seconds: tuple[float, float] = (0.5, 3.0),
        back: bool = True,
        at: str = "",
    ) -> None:
        self._clock = clock
        self._jumps = jumps
        self._seconds = seconds
        self._back = back
        self._at = at

    async def strike(self, random: Random) -> Strike:
        """See `Fault`. A process with a wrong clock works, so it is healed once it has jumped."""
        struck_at = time.monotonic()
        try:
            await self._clock.jump_to(random.choice(self._jumps) * random.choice((-1, 1)))
            healed_at = time.monotonic()
            await asyncio.sleep(random.uniform(*self._seconds))
        finally:
            if self._back:
                await self._clock.jump_to(0)
        return Strike(self.kind, struck_at, healed_at, self._at)


def _found() -> Path | None:
    return next((path for place in _PLACES for path in Path("/").glob(place)), None)
