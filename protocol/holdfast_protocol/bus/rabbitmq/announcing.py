"""Announcing: confirmed publishing in an order that nothing ever changes."""

import asyncio
import logging
from collections.abc import Sequence
from math import inf
from time import monotonic

from aiormq import Channel

from holdfast_protocol.bus.messages import Announcement
from holdfast_protocol.bus.rabbitmq.confirmed import ConfirmedPipe
from holdfast_protocol.bus.rabbitmq.connection import Link, tap_channel
from holdfast_protocol.bus.rabbitmq.driver import ConnectionLostError, lost_connections
from holdfast_protocol.bus.rabbitmq.supervision import Supervisor
from holdfast_protocol.bus.rabbitmq.topology import broadcast_exchange, declare_exchanges
from holdfast_protocol.errors import BusClosedError, UnavailableError

_log = logging.getLogger("holdfast.bus")

DOUBTFUL_SECONDS = 10.0
"""For so long after a lost connection, a rejection need not mean that a queue is full. Neither
need it for so long after the first one in a cluster, of which other nodes may have been lost."""

_QUIET_SECONDS = 60.0
"""After so long without a rejection, the next one in a cluster is the first one again."""


class Announcer:
    """Announces on a channel of its own, opened when the first announcement comes.

    `timeout` bounds, in seconds, each call with all its waiting. Other than the publisher it
    never sends anything twice: what came in between would be overtaken.
    """

    def __init__(self, link: Link, namespace: str, timeout: float) -> None:
        self._link = link
        self._namespace = namespace
        self._timeout = timeout
        self._sending = asyncio.Lock()
        self._starting = asyncio.Lock()
        self._closed = False
        self._pipe: ConfirmedPipe | None = None
        self._supervisor: Supervisor[Channel] | None = None
        self._rejecting_since = self._rejected_at = -inf

    async def announce(self, announcements: Sequence[Announcement]) -> list[bool]:
        """For each in turn, whether any queue is bound for it.

        Raises UnavailableError when not all were confirmed in time, or the connection was lost.
        """
        pipe: ConfirmedPipe | None = None
        try:
            async with asyncio.timeout(self._timeout):
                async with self._sending:
                    pipe = await self._ready_pipe()
                    with lost_connections():
                        batch = await pipe.send(self._routed(announcements))
                await batch.confirmed()
        except TimeoutError as error:
            # What hangs now must not come after what the caller says next.
            if pipe is not None and pipe is self._pipe and self._supervisor is not None:
                self._supervisor.recycle()
            raise UnavailableError(
                "The broker did not confirm in time; some announcements may be delivered"
            ) from error
        except ConnectionLostError as error:
            raise UnavailableError(
                "The connection was lost; some announcements may be delivered"
            ) from error
        if batch.rejected:
            self._on_rejected(batch.rejected)
        return batch.routed

    def _on_rejected(self, count: int) -> None:
        """Where a node may have been lost a moment ago, the queue may not be full but without a
        leader, or the channel may never learn of the new one (see `Doubts`): then it is no
        delivery.

        Raises UnavailableError.
        """
        if self._supervisor is not None and self._is_doubtful():
            self._lost()
            self._supervisor.recycle()
            raise UnavailableError("A queue takes nothing now; some announcements may be delivered")
        _log.warning("%d announcements were rejected by a full queue", count)

    def _is_doubtful(self) -> bool:
        now = monotonic()
        if now - self._rejected_at > _QUIET_SECONDS:
            self._rejecting_since = now
        self._rejected_at = now
        suspected_at = self._rejecting_since if self._link.has_several_hosts else -inf
        return now - max(self._link.lost_at, suspected_at) < DOUBTFUL_SECONDS

    async def close(self) -> None:
        """Announce no more; what is under way ends in UnavailableError."""
        self._closed = True
        if self._supervisor is not None:
            await self._supervisor.close()

    def _routed(
        self, announcements: Sequence[Announcement]
    ) -> list[tuple[str, str, bytes, str | None]]:
        return [
            (
                broadcast_exchange(self._namespace, one.exchange),
                one.routing_key,
                one.body,
                one.message_id,
            )
            for one in announcements
        ]

    async def _ready_pipe(self) -> ConfirmedPipe:
        supervisor = self._supervisor or await self._start()
        while self._pipe is None:
            await supervisor.get()
        return self._pipe

    async def _start(self) -> Supervisor[Channel]:
        async with self._starting:
            if self._closed:
                raise BusClosedError("The bus was closed")
            if self._supervisor is None:
                supervisor = Supervisor("announcing channel", self._open, on_lost=self._lost)
                await supervisor.start(self._timeout)
                if self._closed:
                    await supervisor.close()
                self._supervisor = supervisor
            return self._supervisor

    async def _open(self) -> Channel:
        return await self._link.open_channel(self._prepare, confirms=True)

    async def _prepare(self, channel: Channel) -> None:
        await declare_exchanges(channel, self._namespace)
        pipe = ConfirmedPipe(channel, self._link.unblocked)
        tap_channel(channel, pipe.on_frame)
        self._pipe = pipe

    def _lost(self) -> None:
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            pipe.fail()
