"""A request/reply echo by hand on aio-pika: one AMQP message per request, nothing is stored.

The fast version that a careful author would write: a quorum queue, persistent requests,
publisher confirms on both sides (aio-pika's default), a prefetch of 256, handlers that run
concurrently, uvloop. The body goes back as it came. Started as a process of its own:
`python -m benchmarks.peers.raw_echo`.
"""

import asyncio
import signal

import aio_pika
import uvloop
from aio_pika.abc import AbstractIncomingMessage

from benchmarks.addresses import amqp_url

QUEUE = "bench.raw-echo"
_PREFETCH = 256


async def serve(url: str) -> None:
    """Echo until SIGTERM."""
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=_PREFETCH)
        queue = await channel.declare_queue(
            QUEUE, durable=True, arguments={"x-queue-type": "quorum"}
        )
        exchange = channel.default_exchange

        async def echo(message: AbstractIncomingMessage) -> None:
            if message.reply_to is not None:
                answer = aio_pika.Message(message.body, correlation_id=message.correlation_id)
                await exchange.publish(answer, routing_key=message.reply_to)
            await message.ack()

        await queue.consume(echo)
        await stopping.wait()


if __name__ == "__main__":
    uvloop.run(serve(amqp_url()))
