"""Many publications on one channel, confirmed by the broker, with little work for each.

The driver keeps some futures and callbacks per publication, and decodes each confirm and
return into objects; a batch of announcements needs to know only which of them were returned,
and when all are confirmed. So a pipe takes the channel's confirms and returns over.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from aiormq import Channel
from aiormq.abc import ChannelFrame

from holdfast_protocol.bus.rabbitmq.driver import ConnectionLostError
from holdfast_protocol.bus.rabbitmq.frames import (
    ACK,
    NACK,
    RETURN,
    confirmed_tag,
    publication_frames,
    returned_route,
    route_bytes,
)
from holdfast_protocol.bus.rabbitmq.repair import FRAME_METHOD

_MAX_COUNT = 4096
_MAX_BYTES = 16 * 1024 * 1024
_FLUSH_BYTES = 64 * 1024

Routed: TypeAlias = tuple[str, str, bytes, str | None]
"""Exchange, routing key, body and message id."""


class Batch:
    """The publications of one call: which were routed, and whether all are confirmed."""

    def __init__(self, count: int) -> None:
        self.routed = [True] * count
        self.rejected = 0
        self._left = count
        self._lost = False
        self._settled = asyncio.Event()
        if not count:
            self._settled.set()

    async def confirmed(self) -> None:
        """Until all are. Raises ConnectionLostError."""
        await self._settled.wait()
        if self._lost:
            raise ConnectionLostError("before all was confirmed")

    def confirm(self, *, rejected: bool) -> None:
        self.rejected += rejected
        self._left -= 1
        if not self._left:
            self._settled.set()

    def fail(self) -> None:
        if self._left:
            self._lost = True
            self._settled.set()


class _Sent:
    """A publication under way."""

    __slots__ = ("batch", "index", "route", "size")

    def __init__(self, batch: Batch, index: int, route: bytes, size: int) -> None:
        self.batch = batch
        self.index = index
        self.route = route
        self.size = size


class ConfirmedPipe:
    """Publishes on a channel in confirm mode, of which it must be the only user and the tap.

    `unblocked` waits until the broker takes something.
    """

    def __init__(self, channel: Channel, unblocked: Callable[[], Awaitable[None]]) -> None:
        self._channel = channel
        self._unblocked = unblocked
        self._last_tag = 0
        self._under_way: dict[int, _Sent] = {}  # by delivery tag, which count up
        self._returnable: deque[tuple[int, _Sent]] = deque()
        self._bytes = 0
        self._room = asyncio.Event()
        self._failed = False

    async def send(self, publications: Sequence[Routed]) -> Batch:
        """Send all in their order, as far as there is room; one call at a time.

        Raises ConnectionLostError. Cancelled, it has sent a prefix.
        """
        batch = Batch(len(publications))
        frames: list[bytes] = []
        sent: list[_Sent] = []
        size = 0
        for index, (exchange, routing_key, body, message_id) in enumerate(publications):
            route = route_bytes(exchange, routing_key)
            frames += publication_frames(
                self._channel.number, route, body, message_id, self._channel.max_content_size
            )
            sent.append(_Sent(batch, index, route, len(body)))
            size += len(body)
            if size >= _FLUSH_BYTES or len(sent) >= _MAX_COUNT // 8:
                await self._flush(frames, sent, size)
                frames, sent, size = [], [], 0
        if sent:
            await self._flush(frames, sent, size)
        return batch

    def on_frame(self, kind: int, payload: bytes) -> bool:
        """Takes confirms and returns from the driver, and the content of what is returned."""
        if kind != FRAME_METHOD:
            return True
        method = payload[:4]
        if method == RETURN:
            self._on_return(returned_route(payload))
        elif method in (ACK, NACK):
            self._on_confirm(*confirmed_tag(payload), rejected=method == NACK)
        else:
            return False
        return True

    def fail(self) -> None:
        """The channel is gone: so are all confirms that did not come."""
        self._failed = True
        for sent in self._under_way.values():
            sent.batch.fail()
        self._under_way.clear()
        self._returnable.clear()
        self._room.set()

    async def _flush(self, frames: list[bytes], sent: list[_Sent], size: int) -> None:
        await self._unblocked()
        while self._under_way and (
            len(self._under_way) + len(sent) > _MAX_COUNT or self._bytes + size > _MAX_BYTES
        ):
            self._room.clear()
            await self._room.wait()
        if self._failed or self._channel.is_closed:
            raise ConnectionLostError("while announcing")
        await self._channel.write_queue.put(
            ChannelFrame(payload=b"".join(frames), should_close=False)
        )
        # From here to the end nothing awaits: what is counted is what was sent.
        for one in sent:
            self._last_tag += 1
            self._under_way[self._last_tag] = one
            self._returnable.append((self._last_tag, one))
        self._bytes += size
        if self._failed:
            self.fail()

    def _on_return(self, route: bytes) -> None:
        """Returns come in the order of publishing, each before its confirm, and name no tag."""
        while self._returnable:
            _, sent = self._returnable.popleft()
            if sent.route == route:
                sent.batch.routed[sent.index] = False
                return

    def _on_confirm(self, tag: int, multiple: bool, *, rejected: bool) -> None:
        if multiple:
            for earlier in list(self._under_way):
                if earlier > tag:
                    break
                self._settle(earlier, rejected=rejected)
        else:
            self._settle(tag, rejected=rejected)
        while self._returnable and self._returnable[0][0] not in self._under_way:
            self._returnable.popleft()
        self._room.set()

    def _settle(self, tag: int, *, rejected: bool) -> None:
        sent = self._under_way.pop(tag, None)
        if sent is not None:
            self._bytes -= sent.size
            sent.batch.confirm(rejected=rejected)
