"""The byte stream under a connection: bounded connecting, frames made readable or taken over."""

import asyncio
import struct
from collections.abc import Callable
from typing import Any, TypeAlias

from aiormq.connection import TransportFactory
from aiormq.exceptions import AMQPConnectionError
from yarl import URL

from holdfast_protocol.bus.rabbitmq.repair import FRAME_METHOD, readable

_BUFFER_BYTES = 1024 * 1024  # asyncio's 64 KiB would stop the socket at every larger body
_BLOCKED = b"\x00\x0a\x00\x3c"
_UNBLOCKED = b"\x00\x0a\x00\x3d"
_HEAD = struct.Struct(">BHI")  # a frame's type, channel and size of its payload
_HEARTBEAT = _HEAD.pack(8, 0, 0) + b"\xce"
_SIGN_OF_LIFE_SECONDS = 2.0

Tap: TypeAlias = Callable[[int, bytes], bool]
"""Called with type and payload of each frame of a channel; True when the driver must not see it."""


class FrameReader(asyncio.StreamReader):
    """A stream whose frames the driver's decoder can read.

    The driver reads each frame in three parts: its type, the rest of its head, and its
    payload with the end mark. `on_blocked` is told when the broker blocks the connection
    (True) or unblocks it, which the driver only logs.
    """

    def __init__(self, on_blocked: Callable[[bool], None]) -> None:
        super().__init__(limit=_BUFFER_BYTES, loop=asyncio.get_running_loop())
        self._on_blocked = on_blocked
        self._part = 0
        self._frame_type = 0
        self._channel = 0
        self._ahead = b""
        self._taps: dict[int, Tap] = {}
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._ended = False
        self._clock = asyncio.get_running_loop().time
        self._handed_out_at = self._clock()

    def tap(self, channel: int, tap: Tap) -> None:
        """Show all further frames of a channel to `tap` before the driver."""
        self._taps[channel] = tap

    def untap(self, channel: int, tap: Tap) -> None:
        """Stop that; a later tap of a channel of the same number stays."""
        if self._taps.get(channel) == tap:
            del self._taps[channel]

    def hold(self) -> None:
        """Read nothing more, so that the broker must stop to send, until it is released."""
        if not self._ended:
            self._flowing.clear()

    def release(self) -> None:
        self._flowing.set()

    def feed_eof(self) -> None:
        super().feed_eof()
        self._end()

    def set_exception(self, exc: Exception) -> None:
        super().set_exception(exc)
        self._end()

    def _end(self) -> None:
        # Whoever holds an ended stream would not notice that it has ended.
        self._ended = True
        self._flowing.set()

    async def readexactly(self, n: int) -> bytes:
        if self._part == 0:
            await self._read_ahead()
        data, self._ahead = self._ahead[:n], self._ahead[n:]
        if len(data) < n:
            data += await super().readexactly(n - len(data))
        self._part = (self._part + 1) % 3
        if self._part == 1:
            self._frame_type = data[0]
        elif self._part == 2:
            self._channel = struct.unpack_from(">H", data)[0]
        elif self._channel:
            payload = data[:-1]
            repaired = readable(self._frame_type, payload)
            return data if repaired is payload else repaired + data[-1:]
        elif self._frame_type == FRAME_METHOD:
            self._notice_blocked(data)
        return data

    async def _read_ahead(self) -> None:
        """Until there is a frame for the driver: its head, and perhaps more, is in `_ahead`."""
        while not self._ahead:
            if not await self._flows():
                self._ahead = _HEARTBEAT
                break
            head = await super().readexactly(_HEAD.size)
            kind, channel, size = _HEAD.unpack(head)
            tap = self._taps.get(channel)
            if tap is None:
                self._ahead = head
            else:
                payload = await super().readexactly(size + 1)
                if not tap(kind, payload[:-1]):
                    self._ahead = head + payload
                elif self._clock() - self._handed_out_at > _SIGN_OF_LIFE_SECONDS:
                    # The driver gives a connection up on which it sees no frame for long.
                    self._ahead = _HEARTBEAT
        self._handed_out_at = self._clock()

    async def _flows(self) -> bool:
        """Waits while the stream is held; False when the driver needs a sign of life before."""
        if self._flowing.is_set():
            return True
        try:
            async with asyncio.timeout(_SIGN_OF_LIFE_SECONDS):
                await self._flowing.wait()
        except TimeoutError:
            return False
        return True

    def _notice_blocked(self, data: bytes) -> None:
        if data.startswith(_BLOCKED):
            self._on_blocked(True)
        elif data.startswith(_UNBLOCKED):
            self._on_blocked(False)


class FrameTransport(TransportFactory):
    """Opens a TCP (amqp) or TLS (amqps) connection that reads through a `FrameReader`."""

    def __init__(self, on_blocked: Callable[[bool], None]) -> None:
        self._on_blocked = on_blocked
        self.reader: FrameReader | None = None

    async def create(
        self,
        url: URL,
        **kwargs: Any,  # the driver's signature
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Raises AMQPConnectionError when there is no connection to be had."""
        provider = kwargs.pop("ssl_context_provider")
        context = await provider.get_context() if url.scheme == "amqps" else None
        loop = asyncio.get_running_loop()
        reader = FrameReader(self._on_blocked)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        try:
            transport, _ = await loop.create_connection(
                lambda: protocol, url.host or "", url.port or 0, ssl=context
            )
        except OSError as error:
            raise AMQPConnectionError(*error.args) from error
        self.reader = reader
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)
