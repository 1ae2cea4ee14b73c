"""Paths that are slow, silent, or mix up what is sent, by way of a proxy."""

import asyncio
import time
from random import Random
from typing import Final

from tests.chaos.faults.contract import Strike
from tests.chaos.proxy.amqp import AmqpProxy
from tests.chaos.proxy.tcp import TcpProxy

_SECONDS: Final = (0.5, 3.0)


class SlowDown:
    """Each chunk takes 50–200 ms in each direction for a while.

    Args:
        proxy: what stands before the server.
        name: which path, for the report.
        seconds: how long, at least and at most.
        at: see `Strike`.
    """

    def __init__(
        self,
        proxy: TcpProxy,
        name: str,
        *,
        seconds: tuple[float, float] = _SECONDS,
        latency: tuple[float, float] = (0.05, 0.2),
        at: str = "",
    ) -> None:
        self.kind = f"slow down {name}"
        self._proxy = proxy
        self._seconds = seconds
        self._latency = latency
        self._at = at

    async def strike(self, random: Random) -> Strike:
        """See `Fault`."""
        struck_at = time.monotonic()
        self._proxy.weather.latency = self._latency
        try:
            await asyncio.sleep(random.uniform(*self._seconds))
        finally:
            self._proxy.weather.latency = (0.0, 0.0)
        return Strike(self.kind, struck_at, time.monotonic(), self._at)


class Throttle:
    """Each direction of each connection carries 20–200 kB a second for a while. See SlowDown."""

    def __init__(
        self,
        proxy: TcpProxy,
        name: str,
        *,
        seconds: tuple[float, float] = _SECONDS,
        at: str = "",
    ) -> None:
        self.kind = f"throttle {name}"
        self._proxy = proxy
        self._seconds = seconds
        self._at = at

    async def strike(self, random: Random) -> Strike:
        """See `Fault`."""
        struck_at = time.monotonic()
        self._proxy.weather.bytes_per_second = random.uniform(20_000, 200_000)
        try:
            await asyncio.sleep(random.uniform(*self._seconds))
        finally:
            self._proxy.weather.bytes_per_second = None
        return Strike(self.kind, struck_at, time.monotonic(), self._at)


class Swallow:
    """A black hole: nothing passes for a while, and all that waited passes then. See SlowDown."""

    def __init__(
        self,
        proxy: TcpProxy,
        name: str,
        *,
        seconds: tuple[float, float] = _SECONDS,
        at: str = "",
    ) -> None:
        self.kind = f"swallow {name}"
        self._proxy = proxy
        self._seconds = seconds
        self._at = at

    async def strike(self, random: Random) -> Strike:
        """See `Fault`."""
        struck_at = time.monotonic()
        with self._proxy.black_hole():
            await asyncio.sleep(random.uniform(*self._seconds))
        return Strike(self.kind, struck_at, time.monotonic(), self._at)


class Reorder:
    """Publishes of one channel change places for a while. See SlowDown, and swapping.py."""

    def __init__(
        self,
        proxy: AmqpProxy,
        name: str,
        *,
        seconds: tuple[float, float] = _SECONDS,
        at: str = "",
    ) -> None:
        self.kind = f"reorder {name}"
        self._proxy = proxy
        self._seconds = seconds
        self._at = at

    async def strike(self, random: Random) -> Strike:
        """See `Fault`."""
        struck_at = time.monotonic()
        self._proxy.shuffle.share = random.uniform(0.1, 0.6)
        try:
            await asyncio.sleep(random.uniform(*self._seconds))
        finally:
            self._proxy.shuffle.share = 0.0
        return Strike(self.kind, struck_at, time.monotonic(), self._at)
