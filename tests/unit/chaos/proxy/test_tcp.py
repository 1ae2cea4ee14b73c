"""The proxy for any server: chunks, bounds, ends."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from tests.chaos.proxy.rules import Cut, How, Point, When
from tests.chaos.proxy.tcp import TcpProxy
from tests.unit.chaos.proxy.conftest import PATIENCE


@pytest.fixture
async def echo() -> AsyncIterator[TcpProxy]:
    """In front of a server that says what it hears, until it hears the end."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while chunk := await reader.read(1000):
                writer.write(chunk)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server, TcpProxy(_url(server.sockets[0].getsockname()[1])) as proxy:
        yield proxy


def _url(port: int) -> str:
    return f"tcp://name:secret@127.0.0.1:{port}/path"


async def _open(proxy: TcpProxy) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    _, _, port = proxy.proxied_url.removesuffix("/path").rpartition(":")
    return await asyncio.open_connection("127.0.0.1", int(port))


async def _say(streams: tuple[asyncio.StreamReader, asyncio.StreamWriter], said: bytes) -> bytes:
    """What is heard back; less when the connection ends."""
    reader, writer = streams
    writer.write(said)
    async with asyncio.timeout(PATIENCE):
        try:
            return await reader.readexactly(len(said))
        except asyncio.IncompleteReadError as error:
            return error.partial


async def _closed(streams: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
    streams[1].close()
    with suppress(ConnectionError):
        await streams[1].wait_closed()


async def test_it_forwards_both_ways_and_passes_the_end_on(echo: TcpProxy) -> None:
    streams = await _open(echo)
    assert await _say(streams, b"hello" * 50_000) == b"hello" * 50_000
    streams[1].write_eof()
    assert await streams[0].read() == b""
    await _closed(streams)
    assert echo.proxied_url.startswith("tcp://name:secret@127.0.0.1:")


@pytest.mark.parametrize(
    ("point", "when", "heard"),
    [
        (Point.ASKED, When.BEFORE, b""),
        (Point.ASKED, When.WITHIN, b""),
        (Point.ASKED, When.AFTER, b""),
        (Point.ANSWERED, When.BEFORE, b""),
        (Point.ANSWERED, When.WITHIN, b"se"),
        (Point.ANSWERED, When.AFTER, b"seco"),
    ],
)
@pytest.mark.parametrize("how", [How.RESET, How.CLOSE])
async def test_the_second_chunk_is_cut(
    echo: TcpProxy, point: Point, when: When, how: How, heard: bytes
) -> None:
    streams = await _open(echo)
    with echo.cutting(Cut(point, when, 2, how)) as armed:
        assert await _say(streams, b"first") == b"first"
        assert await _heard(streams, b"seco") == (heard, how)
        async with asyncio.timeout(PATIENCE):
            await armed.struck.wait()
    await _closed(streams)


async def test_silence_lasts_until_the_reset(echo: TcpProxy) -> None:
    silent, other = await _open(echo), await _open(echo)
    with echo.cutting(Cut(Point.ANSWERED, When.BEFORE, 1, How.SILENCE, linger=0.3)):
        silence = asyncio.create_task(_heard(silent, b"hello"))
        done, _ = await asyncio.wait([silence], timeout=0.2)
        assert not done
        assert await _say(other, b"others") == b"others"
        assert await silence == (b"", How.RESET)
    await _closed(silent)
    await _closed(other)


async def _heard(
    streams: tuple[asyncio.StreamReader, asyncio.StreamWriter], said: bytes
) -> tuple[bytes, How]:
    """What comes back until the connection ends, and how it ends."""
    reader, writer = streams
    writer.write(said)
    heard = b""
    async with asyncio.timeout(PATIENCE):
        try:
            while chunk := await reader.read(100):
                heard += chunk
        except ConnectionResetError:
            return heard, How.RESET
    return heard, How.CLOSE


async def test_a_server_that_does_not_read_stops_its_client() -> None:
    """The sender waits once the proxy and the kernels hold what they may."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        async with TcpProxy(_url(deaf.getsockname()[1])) as proxy:
            _, writer = await _open(proxy)
            sent = 0
            with pytest.raises(TimeoutError):
                while True:
                    writer.write(bytes(100_000))
                    async with asyncio.timeout(0.5):
                        await writer.drain()
                    sent += 100_000
            # The proxy's own room is 1 MiB; the rest is the kernels' buffers.
            assert sent < 30_000_000
            writer.transport.abort()


async def test_a_client_whose_server_is_away_sees_a_reset() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    async with TcpProxy(_url(port)) as proxy:
        streams = await _open(proxy)
        with pytest.raises(ConnectionResetError):
            await streams[0].read()
        await _closed(streams)


async def test_closing_it_ends_its_connections(echo: TcpProxy) -> None:
    streams = await _open(echo)
    assert await _say(streams, b"here") == b"here"
    await echo.__aexit__(None, None, None)
    assert echo.open == 0
    with suppress(ConnectionResetError):
        assert await streams[0].read() == b""
    await _closed(streams)
    await echo.__aenter__()  # for the fixture to close
