"""Connections of a plain AMQP client, to whichever host of a URL answers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from random import Random
from typing import Final

import aio_pika
from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import AMQPError

from holdfast_protocol.bus.rabbitmq.hosts import parsed_hosts

WAIT: Final = 10.0
"""Seconds, for anything that the broker does."""
# What is raised by a driver whose connection is lost under it, beside its own errors.
LOST: Final = (AMQPError, OSError, TimeoutError, asyncio.InvalidStateError, RuntimeError)
_random: Final = Random()


@asynccontextmanager
async def dialled(bus: str) -> AsyncIterator[AbstractConnection]:
    """A connection that is open. Raises what is in `LOST`, the last host's."""
    hosts = list(parsed_hosts(bus))
    _random.shuffle(hosts)  # one that accepts and then does nothing may not hold it up for ever
    for host in hosts:
        async with AsyncExitStack() as stack:
            connection = aio_pika.Connection(host)
            # Closed even where it never opened: the driver's own finalizer would not do it well.
            stack.push_async_callback(connection.close)
            try:
                await connection.connect(timeout=WAIT)
            except LOST:
                if host is hosts[-1]:
                    raise
                continue
            yield connection
            return


async def closed(connection: AbstractConnection) -> None:
    """Until a connection is lost."""
    lost = asyncio.Event()
    connection.close_callbacks.add(lambda *_why: lost.set())
    if not connection.is_closed:
        await lost.wait()
