"""The byte stream under a connection: bounded connecting, and frames made readable."""

import asyncio
import struct
from collections.abc import Callable
from typing import Any

from aiormq.connection import TransportFactory
from aiormq.exceptions import AMQPConnectionError
from yarl import URL

from holdfast_protocol.bus.rabbitmq.repair import FRAME_METHOD, readable

_BUFFER_BYTES = 1024 * 1024  # asyncio's 64 KiB would stop the socket at every larger body
_BLOCKED = b"\x00\x0a\x00\x3c"
_UNBLOCKED = b"\x00\x0a\x00\x3d"


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

    async def readexactly(self, n: int) -> bytes:
        data = await super().readexactly(n)
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

    def _notice_blocked(self, data: bytes) -> None:
        if data.startswith(_BLOCKED):
            self._on_blocked(True)
        elif data.startswith(_UNBLOCKED):
            self._on_blocked(False)


class FrameTransport(TransportFactory):
    """Opens TCP (amqp) or TLS (amqps) connections that read through a `FrameReader`."""

    def __init__(self, on_blocked: Callable[[bool], None]) -> None:
        self._on_blocked = on_blocked

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
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)
