"""What the tests of the RabbitMQ bus do to a broker: odd frames, lost connections, a proxy."""

import asyncio
import logging
import struct
import urllib.error
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import aiormq
import pytest
from aiormq.abc import ChannelFrame

from tests.conformance.bus.harness import PATIENCE
from tests.services import BrokerApi

FLAG_HEADERS = 0x2000
FLAG_DELIVERY_MODE = 0x1000
FLAG_PRIORITY = 0x0800
FLAG_CORRELATION_ID = 0x0400
FLAG_TIMESTAMP = 0x0040


def vhost_of(url: str) -> str:
    return urlsplit(url).path[1:]


async def call(api: BrokerApi, method: str, *path: str, body: object = None) -> Any:
    """A call of the management API, off the event loop."""
    return await asyncio.to_thread(api.call, method, *path, body=body)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Ask again until it holds; the management API tells nobody when something changed."""
    async with asyncio.timeout(PATIENCE):
        while not await condition():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.05)


async def close_connections(api: BrokerApi, url: str, expected: int) -> None:
    """Make the broker close all connections of the vhost, once it lists so many."""
    vhost = vhost_of(url)
    names: list[str] = []

    async def listed() -> bool:
        nonlocal names
        names = [entry["name"] for entry in await call(api, "GET", "vhosts", vhost, "connections")]
        return len(names) >= expected

    await until(listed)
    for name in names:
        try:
            await call(api, "DELETE", "connections", name)
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise


def short(text: bytes) -> bytes:
    return bytes([len(text)]) + text


def table(*entries: bytes) -> bytes:
    """A field table of raw entries: key as a short string, then type and value."""
    content = b"".join(entries)
    return struct.pack(">I", len(content)) + content


def nested(levels: int) -> bytes:
    """A field value: tables in tables, so deep."""
    value = b"V"
    for _ in range(levels):
        value = b"F" + table(short(b"k") + value)
    return value


async def publish_raw(
    url: str,
    exchange: str,
    routing_key: bytes,
    body: bytes,
    *,
    flags: int = 0,
    properties: bytes = b"",
    kind: str = "topic",
) -> None:
    """Publish with properties as raw bytes: what an encoder of ours would refuse to write."""
    connection = await aiormq.connect(url)
    try:
        channel = await connection.channel(publisher_confirms=False)
        method = struct.pack(">HHH", 60, 40, 0) + short(exchange.encode()) + short(routing_key)
        header = struct.pack(">HHQH", 60, 0, len(body), flags) + properties
        payload = b"".join(
            struct.pack(">BHI", frame_type, channel.number, len(content)) + content + b"\xce"
            for frame_type, content in ((1, method + b"\0"), (2, header), (3, body))
        )
        await connection.write_queue.put(ChannelFrame(payload=payload, should_close=False))
        # Answered after the publish was read: raises when the broker did not like it.
        await channel.exchange_declare(exchange, exchange_type=kind, passive=True, timeout=10)
    finally:
        await connection.close()


class Proxy:
    """A TCP proxy in front of the broker that can freeze, or cut all connections at once."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._thawed = asyncio.Event()
        self._thawed.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self.connections = 0

    def cut(self) -> None:
        """Reset every connection: no close handshake, data under way is lost."""
        for writer in self._writers:
            writer.transport.abort()

    def freeze(self) -> None:
        self._thawed.clear()

    def thaw(self) -> None:
        self._thawed.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            there_reader, there_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.close()
            return
        pair = {writer, there_writer}
        self._writers |= pair
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, there_writer))
                group.create_task(self._pump(there_reader, writer))
        except* OSError:
            pass
        finally:
            self._writers -= pair
            for one in pair:
                one.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            await self._thawed.wait()
            writer.write(data)
            await writer.drain()
        writer.close()


@asynccontextmanager
async def proxy_to(url: str) -> AsyncIterator[tuple[Proxy, str]]:
    """A proxy in front of the broker at `url`, and the URL through it."""
    parts = urlsplit(url)
    proxy = Proxy(parts.hostname or "127.0.0.1", parts.port or 5672)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    account = parts.netloc.rpartition("@")[0]
    try:
        yield proxy, parts._replace(netloc=f"{account}@127.0.0.1:{port}").geturl()
    finally:
        proxy.thaw()
        server.close()


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the bus logged as a warning or worse."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == "holdfast.bus" and record.levelno >= logging.WARNING
    ]
