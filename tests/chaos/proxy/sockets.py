"""What a proxy does to its sockets beyond reading and writing."""

import asyncio
import fcntl
import socket
import struct
import termios

from tests.chaos.proxy.rules import How

_CHUNK = 64 * 1024
_DELIVERED_WITHIN = 1.0  # seconds: a peer that does not read keeps us no longer
_LOOK = 0.001  # seconds between two looks at what is under way


def end(connection: socket.socket, how: How) -> None:
    """Close it so that the peer sees `how`; bytes that are still under way may be lost."""
    if how is not How.CLOSE:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


async def delivered(connection: socket.socket) -> None:
    """Until the peer's kernel has everything that was sent; bounded."""
    try:
        async with asyncio.timeout(_DELIVERED_WITHIN):
            while _under_way(connection):  # noqa: ASYNC110  the kernel tells it to nobody
                await asyncio.sleep(_LOOK)
    except (TimeoutError, OSError):
        return  # it does not read, or it is gone: then there is nothing to wait for


async def ignore(connection: socket.socket, seconds: float) -> None:
    """Take what the peer says and do nothing with it, until it ends or the time is over."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(seconds):
            while await loop.sock_recv(connection, _CHUNK):
                pass
    except (TimeoutError, OSError):
        return


def _under_way(connection: socket.socket) -> int:
    (size,) = struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4)))
    return int(size)
