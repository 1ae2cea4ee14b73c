"""The echo with FastStream: a typed handler in the server, `broker.request` in the client.

Quorum queue, persistent requests, prefetch 256, uvloop. FastStream 0.7 lets only one request
of a broker object wait for its answer at a time, by a lock of its own; that is how its
`request` works, and part of what is measured. Started as a process of its own:
`python -m benchmarks.peers.faststream_echo`.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvloop
from faststream import FastStream
from faststream.rabbit import Channel, QueueType, RabbitBroker, RabbitQueue

from benchmarks.addresses import amqp_url
from benchmarks.documents import task
from benchmarks.load import Request

NAME = "bench.faststream"


def _queue() -> RabbitQueue:
    return RabbitQueue(NAME, queue_type=QueueType.QUORUM, durable=True)


def application(url: str) -> FastStream:
    """The server."""
    broker = RabbitBroker(url, default_channel=Channel(prefetch_count=256), logger=None)

    @broker.subscriber(_queue())
    async def echo(body: dict[str, Any]) -> dict[str, Any]:
        return body

    return FastStream(broker, logger=logging.getLogger("faststream"))


@asynccontextmanager
async def faststream_client(url: str) -> AsyncIterator[Request]:
    """Asks the echo server."""
    async with RabbitBroker(url, logger=None) as broker:
        await broker.connect()

        async def request(number: int) -> object:
            answer = await broker.request(task(number), queue=NAME, persist=True, timeout=60.0)
            return await answer.decode()

        yield request


if __name__ == "__main__":
    uvloop.run(application(amqp_url()).run())
