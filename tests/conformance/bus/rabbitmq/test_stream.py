"""The journal as a stream of the broker: lost connections, what others may read, deletion."""

import asyncio
import time
import tracemalloc
from datetime import UTC, datetime, timedelta

import aio_pika
import pytest

from holdfast_protocol.bus.rabbitmq.bus import RabbitBus
from holdfast_protocol.errors import UnavailableError
from tests.conformance.bus.harness import RabbitHarness, soon
from tests.conformance.bus.rabbitmq.tools import call, proxy_to, until, vhost_of
from tests.services import BrokerApi

pytestmark = pytest.mark.amqp


async def read(bus: RabbitBus, since: datetime | None = None) -> list[bytes]:
    async with asyncio.timeout(30):
        return [chunk async for chunk in bus.read_journal(since=since)]


async def test_a_lost_connection_leaves_no_hole_and_repeats_nothing(amqp_url: str) -> None:
    namespace = RabbitHarness(amqp_url).namespace
    async with (
        RabbitBus(amqp_url, namespace=namespace) as writer,
        proxy_to(amqp_url) as (proxy, url),
        RabbitBus(url, namespace=namespace) as bus,
    ):
        expected = [b"%d" % number for number in range(200)]
        for body in expected:
            await writer.journal(body)
        got: list[bytes] = []
        async with asyncio.timeout(30):
            async for chunk in bus.read_journal():
                got.append(chunk)
                if len(got) in (1, 50, 51, 199, 200):
                    proxy.cut()
        assert got == expected


async def test_who_follows_goes_on_after_a_lost_connection(amqp_url: str) -> None:
    namespace = RabbitHarness(amqp_url).namespace
    async with (
        RabbitBus(amqp_url, namespace=namespace) as writer,
        proxy_to(amqp_url) as (proxy, url),
        RabbitBus(url, namespace=namespace) as bus,
    ):
        chunks = bus.read_journal(follow=True)
        for number in range(10):
            await writer.journal(b"%d" % number)
            assert await soon(anext(chunks)) == b"%d" % number
            if number % 3 == 0:
                proxy.cut()


async def test_the_queue_is_a_stream_of_ten_gigabytes_made_at_the_first_use(
    fresh_amqp_url: str, rabbitmq_api: BrokerApi
) -> None:
    vhost = vhost_of(fresh_amqp_url)

    async def names() -> set[str]:
        return {entry["name"] for entry in await call(rabbitmq_api, "GET", "queues", vhost)}

    async with RabbitBus(fresh_amqp_url) as bus:
        assert await read(bus) == []
        assert "holdfast.journal" not in await names()
        await bus.journal(b"x")
        queue = await call(rabbitmq_api, "GET", "queues", vhost, "holdfast.journal")
    assert queue["durable"]
    assert queue["arguments"] == {"x-queue-type": "stream", "x-max-length-bytes": 10_000_000_000}


async def test_since_a_time_leaves_out_what_came_long_before(amqp_url: str) -> None:
    async with RabbitHarness(amqp_url).bus() as bus:
        await bus.journal(b"before")
        boundary = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1)
        await until(lambda: _is(time.time() > boundary.timestamp()))
        await bus.journal(b"after")
        assert isinstance(bus, RabbitBus)
        assert await read(bus, boundary) == [b"after"]


async def test_a_plain_consumer_reads_the_chunks(amqp_url: str) -> None:
    harness = RabbitHarness(amqp_url)
    async with harness.bus() as bus, await aio_pika.connect(amqp_url) as connection:
        await bus.journal(b'{"v":1}\n')
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=10)
        queue = await channel.get_queue(f"{harness.namespace}.journal")
        async with asyncio.timeout(30):
            async with queue.iterator(arguments={"x-stream-offset": "first"}) as messages:
                async for message in messages:
                    assert message.body == b'{"v":1}\n'
                    await message.ack()
                    break


async def test_a_journal_that_was_deleted_is_begun_anew(
    fresh_amqp_url: str, rabbitmq_api: BrokerApi
) -> None:
    async with RabbitBus(fresh_amqp_url) as bus:
        await bus.journal(b"1")
        vhost = vhost_of(fresh_amqp_url)
        await call(rabbitmq_api, "DELETE", "queues", vhost, "holdfast.journal")
        assert await read(bus) == []
        await bus.journal(b"2")
        assert await read(bus) == [b"2"]


@pytest.mark.parametrize("at_once", [True, False])
async def test_who_follows_goes_on_with_a_new_journal_from_its_first(
    fresh_amqp_url: str,
    rabbitmq_api: BrokerApi,
    caplog: pytest.LogCaptureFixture,
    at_once: bool,
) -> None:
    async with RabbitBus(fresh_amqp_url) as bus, RabbitBus(fresh_amqp_url) as writer:
        chunks = bus.read_journal(follow=True)
        for number in range(10):
            await writer.journal(b"old %d" % number)
            assert await soon(anext(chunks)) == b"old %d" % number
        waiting = asyncio.ensure_future(anext(chunks))
        vhost = vhost_of(fresh_amqp_url)
        await call(rabbitmq_api, "DELETE", "queues", vhost, "holdfast.journal")
        if not at_once:
            await until(lambda: _is("The journal was deleted" in caplog.text))
        for number in range(3):
            await writer.journal(b"new %d" % number)
        assert await soon(waiting) == b"new 0"
        assert [await soon(anext(chunks)) for _ in range(2)] == [b"new 1", b"new 2"]
        assert caplog.text.count("The journal was deleted") == 1


async def test_a_reader_asks_for_no_more_than_a_few_chunks_ahead(amqp_url: str) -> None:
    chunk = 4 << 20
    async with RabbitHarness(amqp_url).bus() as bus:
        for _ in range(20):
            await bus.journal(bytes(chunk))
        tracemalloc.start()
        try:
            chunks = bus.read_journal()
            assert len(await soon(anext(chunks))) == chunk
            assert len(await soon(anext(chunks))) == chunk
            # The broker answers in order: what it sends ahead comes before this.
            await bus.listen("events", ["#"], lambda _: None)
            assert tracemalloc.get_traced_memory()[1] < 6 * chunk
        finally:
            tracemalloc.stop()


async def test_a_queue_of_that_name_that_is_no_stream_is_told(fresh_amqp_url: str) -> None:
    async with await aio_pika.connect(fresh_amqp_url) as connection:
        channel = await connection.channel()
        await channel.declare_queue("holdfast.journal", durable=True)
    async with RabbitBus(fresh_amqp_url) as bus:
        with pytest.raises(UnavailableError) as raised:
            await soon(bus.journal(b"1"))
        assert raised.value.details == {"reason": "ChannelPreconditionFailed"}


async def test_a_broker_that_does_not_answer_is_unavailable(amqp_url: str) -> None:
    namespace = RabbitHarness(amqp_url).namespace
    async with (
        proxy_to(amqp_url) as (proxy, url),
        RabbitBus(url, namespace=namespace, operation_timeout=0.5) as bus,
    ):
        await bus.journal(b"1")
        proxy.freeze()
        with pytest.raises(UnavailableError):
            await soon(bus.journal(b"2"))
        with pytest.raises(UnavailableError):
            await read(bus)
        proxy.thaw()


async def _is(condition: bool) -> bool:
    return condition
