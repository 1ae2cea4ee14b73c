"""Paths that are slow, silent, or mix up what is sent, by way of a proxy."""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from random import Random
from typing import Final, Generic, TypeVar

from tests.chaos.faults.contract import Strike
from tests.chaos.proxy.amqp import AmqpProxy
from tests.chaos.proxy.tcp import TcpProxy

_SECONDS: Final = (0.5, 3.0)
_LATENCY: Final = (0.05, 0.2)  # seconds

Proxy = TypeVar("Proxy", bound=TcpProxy)


class BadPath(ABC, Generic[Proxy]):
    """Base of faults that make a path bad for a while.

    Args:
        proxy: what stands before the server.
        name: which path, for the report.
        seconds: how long, at least and at most.
        at: see `Strike`.
    """

    verb: str

    def __init__(
        self,
        proxy: Proxy,
        name: str,
        *,
        seconds: tuple[float, float] = _SECONDS,
        at: str = "",
    ) -> None:
        self.kind = f"{self.verb} {name}"
        self._proxy = proxy
        self._seconds = seconds
        self._at = at

    async def strike(self, random: Random) -> Strike:
        """See `Fault`."""
        struck_at = time.monotonic()
        with self._bad(random):
            await asyncio.sleep(random.uniform(*self._seconds))
        return Strike(self.kind, struck_at, time.monotonic(), self._at)

    @abstractmethod
    def _bad(self, random: Random) -> AbstractContextManager[None]:
        """The path is bad as long as this is entered."""


class SlowDown(BadPath[TcpProxy]):
    """Each chunk takes 50–200 ms in each direction."""

    verb = "slow down"

    @contextmanager
    def _bad(self, random: Random) -> Iterator[None]:  # noqa: ARG002  nothing to draw
        self._proxy.weather.latency = _LATENCY
        try:
            yield
        finally:
            self._proxy.weather.latency = (0.0, 0.0)


class Throttle(BadPath[TcpProxy]):
    """Each direction of each connection carries 20–200 kB a second."""

    verb = "throttle"

    @contextmanager
    def _bad(self, random: Random) -> Iterator[None]:
        self._proxy.weather.bytes_per_second = random.uniform(20_000, 200_000)
        try:
            yield
        finally:
            self._proxy.weather.bytes_per_second = None


class Swallow(BadPath[TcpProxy]):
    """A black hole: nothing passes, and all that waited passes when it is over."""

    verb = "swallow"

    def _bad(self, random: Random) -> AbstractContextManager[None]:  # noqa: ARG002  nothing to draw
        return self._proxy.black_hole()


class Reorder(BadPath[AmqpProxy]):
    """Publishes of one channel change places. See swapping.py."""

    verb = "reorder"

    @contextmanager
    def _bad(self, random: Random) -> Iterator[None]:
        self._proxy.shuffle.share = random.uniform(0.1, 0.6)
        try:
            yield
        finally:
            self._proxy.shuffle.share = 0.0
