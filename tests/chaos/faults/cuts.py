"""Connections that end at a bad moment, by way of a proxy.

A storm that wants them starts an `AmqpProxy(broker.url)` before the broker, gives its
`proxied_url` to the agents as --bus (another one's to the load), and the proxy to
`CutConnection(proxy, OF_AMQP, "agents")`; before a store, a `TcpProxy(url)`, its `proxied_url`
as --backend, and `CutConnection(proxy, OF_STORES, "postgres")`. A proxy outlives restarts of
its server.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Final

from tests.chaos.faults.contract import Strike
from tests.chaos.proxy.rules import Cut, How, Point, When
from tests.chaos.proxy.tcp import TcpProxy

OF_AMQP: Final = (Point.PUBLISH, Point.CONFIRM, Point.DELIVERY, Point.ACK)
OF_STORES: Final = (Point.ASKED, Point.ANSWERED)
_PATIENCE: Final = 5.0  # seconds
_SOME_TIME: Final = 0.05  # seconds: what is counted begins at any moment
_LARGEST: Final = 40
_LARGEST_OF_SEVERAL: Final = 10  # of acks and confirms that mean several
_SILENCE: Final = (0.2, 1.0)  # seconds


class CutAt:
    """One cut at the n-th of something, from now on.

    It needs traffic: where the n-th thing does not come by in time, everything is cut instead,
    and `missed` counts it.

    Args:
        proxy: what stands before the server.
        cut: where and how.
        at: see `Strike`.
        patience: seconds for the n-th thing to come by.
    """

    def __init__(
        self, proxy: TcpProxy, cut: Cut, *, at: str = "", patience: float = _PATIENCE
    ) -> None:
        self._proxy = proxy
        self._cut = cut
        self._at = at
        self._patience = patience
        self.missed = 0

    @property
    def kind(self) -> str:
        """`cut before publish`, `cut within confirm`, `cut after chunk from the client`, …"""
        return f"cut {self._cut.when} {self._cut.point}"

    async def strike(self, random: Random) -> Strike:
        """See `Fault`. The path is open again at once: whoever was cut may connect."""
        await asyncio.sleep(random.uniform(0, _SOME_TIME))
        with self._proxy.cutting(self._cut) as armed:
            try:
                async with asyncio.timeout(self._patience + self._cut.linger):
                    await armed.struck.wait()
            except TimeoutError:
                self.missed += 1
                self._proxy.cut_all(self._cut.how)
                now = time.monotonic()
                return Strike(self.kind, now, now, self._at)
        healed_at = armed.struck_at
        if self._cut.how is How.SILENCE:
            healed_at = time.monotonic()
        return Strike(self.kind, armed.struck_at, healed_at, self._at)


class CutConnection:
    """A cut that is drawn anew each time: point, place, number, way. For a storm.

    Args:
        proxy: an AmqpProxy before RabbitMQ, or a TcpProxy before a store.
        points: of which one is drawn: `OF_AMQP` or `OF_STORES`.
        name: which path is cut, for the report: `agents`, `clients`, `postgres`, …
        at: see `Strike`.
    """

    def __init__(
        self, proxy: TcpProxy, points: Sequence[Point], name: str, *, at: str = ""
    ) -> None:
        self._proxy = proxy
        self._points = points
        self._name = name
        self._at = at

    @property
    def kind(self) -> str:
        """`cut agents`, `cut clients`, …"""
        return f"cut {self._name}"

    async def strike(self, random: Random) -> Strike:
        """See `Fault`."""
        cut = drawn(random, random.choice(self._points), random.choice(list(When)))
        strike = await CutAt(self._proxy, cut, at=self._at).strike(random)
        return replace(strike, kind=self.kind)


def drawn(random: Random, point: Point, when: When) -> Cut:
    """A cut there, its number and its way drawn: small numbers and resets more often."""
    several = point in (Point.CONFIRM, Point.ACK)
    largest = _LARGEST_OF_SEVERAL if several else _LARGEST
    n = random.choice((1, 2, random.randint(3, 10), random.randint(5, largest)))
    how = random.choice((How.RESET, How.RESET, How.CLOSE, How.SILENCE))
    if how is How.SILENCE:
        return Cut(point, when, n, how, linger=random.uniform(*_SILENCE))
    return Cut(point, when, n, how, linger=random.choice((0.0, 0.05, 0.5)))
