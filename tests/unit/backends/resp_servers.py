"""Servers that speak as much of Redis's protocol as somebody needs who asks for the master."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

SILENT = b""
"""The answer of a server that never says a word."""


@asynccontextmanager
async def answering(words: Mapping[bytes, bytes]) -> AsyncIterator[int]:
    """The port of a server that answers commands by their first word; `+OK` to all others.

    What the mapping holds is looked up anew each time.
    """

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while command := await _command(reader):
                writer.write(words.get(command[0].upper(), b"+OK\r\n"))
        except ConnectionError:
            return  # whoever asked has gone
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def texts(*values: bytes) -> bytes:
    """A list of strings."""
    return b"*%d\r\n" % len(values) + b"".join(b"$%d\r\n%b\r\n" % (len(v), v) for v in values)


async def _command(reader: asyncio.StreamReader) -> list[bytes]:
    """The next command's words; none at the end."""
    head = await reader.readline()
    words = []
    for _ in range(int(head[1:]) if head else 0):
        size = int((await reader.readline())[1:])
        words.append((await reader.readexactly(size + 2))[:-2])
    return words
