"""A reply queue that takes no more is its owner's affair."""

import asyncio

import aio_pika

from holdfast_protocol.bus.opening import open_bus


async def test_a_reply_to_a_full_queue_is_dropped_soon(fresh_amqp_url: str) -> None:
    connection = await aio_pika.connect(fresh_amqp_url)
    async with connection, open_bus(fresh_amqp_url) as bus:
        channel = await connection.channel()
        queue = await channel.declare_queue(
            "holdfast.reply.full.1",
            arguments={"x-max-length": 1, "x-overflow": "reject-publish"},
        )
        await channel.default_exchange.publish(aio_pika.Message(b"{}"), queue.name)
        async with asyncio.timeout(3):
            assert not await bus.reply(queue.name, b"{}", "c")
