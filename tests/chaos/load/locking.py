"""Locks that are taken, lost and given back, and writes that only a holder may make."""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any, Final

from tests.chaos.history import Answer
from tests.chaos.load.drawing import Drawer

_LOCKS: Final = 2
_LEASE: Final = 1.5  # seconds: short, so that leases end while they are used
_PAUSE: Final = 0.2

Tell = Callable[[str, dict[str, Any]], Awaitable[Answer | None]]
"""Asks an action with a payload; the final answer, if any."""


class Locker:
    """One who takes locks, and does not always notice that they are gone."""

    def __init__(self, drawer: Drawer, seed: int, tell: Tell) -> None:
        self._drawer = drawer
        self._random = Random(seed)
        self._tell = tell

    async def once(self) -> None:
        """Take a lock, write under it, give it back; or forget one of these."""
        name = f"{self._drawer.token}-{self._random.randrange(_LOCKS)}"
        acquired = await self._tell("lock_acquire", {"name": name, "lease_seconds": _LEASE})
        if acquired is None or acquired["status"] == "error":
            await asyncio.sleep(_PAUSE)
            return
        token: int = acquired["result"]["token"]
        await self._write(name, token)
        if self._random.random() < 0.2:
            await asyncio.sleep(self._random.uniform(0, 2 * _LEASE))  # too long, at times
            await self._write(name, token)
        if self._random.random() < 0.3:
            await self._tell("lock_renew", {"name": name, "token": token, "lease_seconds": _LEASE})
            await self._write(name, token)
        if self._random.random() < 0.8:
            await self._tell("lock_release", {"name": name, "token": token})
        if self._random.random() < 0.3:
            await self._write(name, token)  # which nobody may do any more

    async def _write(self, name: str, token: int) -> None:
        for _number in range(self._random.randint(1, 3)):
            payload = self._drawer.counting()
            await self._tell("storage_update", payload | {"fence": {"lock": name, "token": token}})
