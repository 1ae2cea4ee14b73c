"""Lost connections and channels: everything is made again, and nothing is lost on the way."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest
from aiormq import Channel

import holdfast_protocol.bus.rabbitmq.replies as replies_module
from holdfast_protocol.bus.contract import Bus, Publication, ReplyAddress
from holdfast_protocol.bus.rabbitmq.bus import RabbitBus
from holdfast_protocol.bus.rabbitmq.topology import declare_reply_queue
from holdfast_protocol.errors import BusClosedError, NoRouteError, UnavailableError
from tests.conformance.bus.harness import RabbitHarness, Replies, has_nothing_more, soon, take
from tests.conformance.bus.rabbitmq.tools import (
    Proxy,
    call,
    close_connections,
    proxy_to,
    until,
    vhost_of,
    warnings_of,
)
from tests.services import BrokerApi

pytestmark = pytest.mark.amqp


async def test_load_goes_on_through_lost_connections(
    fresh_amqp_url: str, rabbitmq_api: BrokerApi
) -> None:
    """Every publish returns, and every body arrives, while the broker cuts connections."""
    harness = RabbitHarness(fresh_amqp_url)
    async with harness.bus() as bus, harness.bus() as agent:
        consumer = await agent.consume("storage", prefetch=200)
        stop = asyncio.Event()
        published: list[int] = []
        arrived: Counter[int] = Counter()

        async def publish() -> None:
            while not stop.is_set():
                number = len(published)
                published.append(number)
                await bus.publish(Publication("storage.x", b"%d" % number))

        async def consume() -> None:
            while deliveries := await consumer.receive():
                arrived.update(int(delivery.body) for delivery in deliveries)
                await consumer.ack(deliveries)

        consuming = asyncio.create_task(consume())
        publishing = [asyncio.create_task(publish()) for _ in range(20)]
        for _ in range(3):
            await close_connections(rabbitmq_api, fresh_amqp_url, expected=4)
            await until(lambda: _at_least(len(published), 200))
        stop.set()
        await soon(asyncio.gather(*publishing))
        await until(lambda: _at_least(len(arrived), len(published)))
        assert set(arrived) == set(published)
        await consumer.cancel()
        await soon(consuming)


@dataclass
class Setting:
    """A bus behind a proxy that can cut its connections."""

    bus: RabbitBus
    proxy: Proxy
    url: str


@pytest.fixture
async def setting(amqp_url: str) -> AsyncIterator[Setting]:
    namespace = RabbitHarness(amqp_url).namespace
    async with proxy_to(amqp_url) as (proxy, url), RabbitBus(url, namespace=namespace) as bus:
        yield Setting(bus, proxy, url)


async def test_unsettled_deliveries_come_again_after_a_lost_connection(setting: Setting) -> None:
    bus = setting.bus
    consumer = await bus.consume("storage", prefetch=3)
    for body in (b"1", b"2", b"3", b"4"):
        await bus.publish(Publication("storage.x", body))
    old = await take(consumer, 3)
    setting.proxy.cut()
    again = await take(consumer, 3)
    assert [delivery.body for delivery in again] == [b"1", b"2", b"3"]
    assert all(delivery.redelivered for delivery in again)
    # Handles of the lost connection settle nothing, though their numbers are in use.
    await consumer.ack(old)
    await consumer.requeue(old)
    await consumer.ack(again)
    assert [delivery.body for delivery in await take(consumer, 1)] == [b"4"]


async def test_what_had_arrived_but_was_not_received_comes_once(setting: Setting) -> None:
    bus = setting.bus
    consumer = await bus.consume("storage")
    for body in (b"1", b"2", b"3"):
        await bus.publish(Publication("storage.x", body))
    setting.proxy.cut()
    await until(lambda: _is(not consumer.connected))
    deliveries = await take(consumer, 3)
    assert [delivery.body for delivery in deliveries] == [b"1", b"2", b"3"]
    await consumer.ack(deliveries)
    assert await has_nothing_more(bus, consumer, "storage")


async def test_settling_while_the_connection_is_lost_is_no_error(setting: Setting) -> None:
    consumer = await setting.bus.consume("storage")
    for body in (b"1", b"2", b"3"):
        await setting.bus.publish(Publication("storage.x", body))
    deliveries = await take(consumer, 3)
    setting.proxy.cut()
    await soon(
        asyncio.gather(
            consumer.ack(deliveries[:1]),
            consumer.requeue(deliveries[1:2]),
            consumer.ack(deliveries[2:]),
        )
    )
    assert len(await take(consumer, 3)) == 3


async def test_a_cancelled_consumer_does_not_come_back(setting: Setting) -> None:
    consumer = await setting.bus.consume("storage")
    await setting.bus.publish(Publication("storage.x", b"x"))
    await take(consumer, 1)
    await consumer.cancel()
    setting.proxy.cut()
    assert await soon(consumer.receive()) == []
    successor = await setting.bus.consume("storage")
    assert [delivery.body for delivery in await take(successor, 1)] == [b"x"]
    assert not consumer.connected


async def test_a_consumer_may_be_cancelled_while_the_connection_is_lost(setting: Setting) -> None:
    consumer = await setting.bus.consume("storage")
    waiting = asyncio.create_task(consumer.receive())
    setting.proxy.cut()
    await soon(consumer.cancel())
    assert await soon(waiting) == []
    successor = await setting.bus.consume("storage")
    await setting.bus.publish(Publication("storage.x", b"x"))
    assert len(await take(successor, 1)) == 1


async def test_a_reply_address_survives_a_lost_connection(setting: Setting) -> None:
    bus, replies = setting.bus, Replies()
    address = await bus.open_reply_address("me", replies)
    name = address.address
    assert address.generation == 1
    for _ in range(2):
        setting.proxy.cut()
        await _rises_by_one(address)
        assert address.address == name
        assert await soon(bus.reply(name, b"x", "c")) is True
        assert (await replies.next()).body == b"x"


async def test_a_connection_that_is_lost_once_more_takes_no_reply_queue_along(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers may wait in it: another name is only for a queue that its node took away."""
    bus, replies = setting.bus, Replies()
    address = await bus.open_reply_address("me", replies)
    name, declaring = address.address, 0

    async def declare(channel: Channel, queue: str) -> None:
        nonlocal declaring
        declaring += 1
        if declaring == 1:
            setting.proxy.cut()
        await declare_reply_queue(channel, queue)

    monkeypatch.setattr(replies_module, "declare_reply_queue", declare)
    setting.proxy.cut()
    await _rises_by_one(address)
    assert (address.address, declaring) == (name, 2)


async def test_publishes_under_way_are_sent_again(setting: Setting) -> None:
    bus = setting.bus
    consumer = await bus.consume("storage")
    bodies = {b"%d" % number for number in range(300)}
    publishing = [asyncio.create_task(bus.publish(Publication("storage.x", b))) for b in bodies]
    await asyncio.sleep(0)
    setting.proxy.cut()
    await soon(asyncio.gather(*publishing))
    arrived: set[bytes] = set()
    while arrived != bodies:
        deliveries = await soon(consumer.receive())
        arrived |= {delivery.body for delivery in deliveries}
        await consumer.ack(deliveries)


async def test_a_publish_waits_while_the_connection_is_made_again(setting: Setting) -> None:
    consumer = await setting.bus.consume("storage")
    for _ in range(5):
        setting.proxy.cut()
        await soon(setting.bus.publish(Publication("storage.x", b"x")))
        await soon(consumer.receive())


async def test_consuming_and_closing_at_once_ends(setting: Setting) -> None:
    async with RabbitBus(setting.url, namespace=setting.bus.namespace) as bus:
        starting = [
            asyncio.create_task(bus.consume("storage")),
            asyncio.create_task(bus.open_reply_address("me", Replies())),
        ]
        await asyncio.sleep(0)
    await soon(asyncio.wait(starting))
    for task in starting:
        assert task.exception() is None or isinstance(task.exception(), BusClosedError)


async def test_a_lost_connection_and_its_return_are_logged_once(
    setting: Setting, amqp_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "holdfast.bus")
    await setting.bus.consume("storage")
    setting.proxy.cut()
    await until(lambda: _is("consumer of storage is up (2)" in caplog.text))
    await until(lambda: _is("publish channel is up (2)" in caplog.text))
    texts = [record.getMessage() for record in caplog.records if record.name == "holdfast.bus"]
    for name in (
        "consuming storage connection",
        "publishing connection",
        "consumer of storage",
    ):
        assert sum(f"{name} is lost" in text for text in texts) == 1
    assert (urlsplit(amqp_url).password or "?") not in caplog.text


async def test_a_queue_that_was_deleted_is_made_again(
    fresh_amqp_url: str, rabbitmq_api: BrokerApi, caplog: pytest.LogCaptureFixture
) -> None:
    vhost = vhost_of(fresh_amqp_url)
    async with RabbitBus(fresh_amqp_url) as bus:
        consumer = await bus.consume("storage")
        replies = Replies()
        address = await bus.open_reply_address("me", replies)
        for queue in ("holdfast.agent.storage", address.address):
            await call(rabbitmq_api, "DELETE", "queues", vhost, queue)
        await until(lambda: _is(address.generation == 2))
        await _publish_until_routed(bus)
        assert len(await take(consumer, 1)) == 1
        assert await soon(bus.reply(address.address, b"x", "c")) is True
        await replies.next()
    assert any("ended the consumer of storage" in text for text in warnings_of(caplog))


async def test_an_exchange_that_was_deleted_is_made_again(
    fresh_amqp_url: str, rabbitmq_api: BrokerApi
) -> None:
    vhost = vhost_of(fresh_amqp_url)
    async with RabbitBus(fresh_amqp_url) as bus:
        consumer = await bus.consume("storage")
        await call(rabbitmq_api, "DELETE", "exchanges", vhost, "holdfast.messages")
        with pytest.raises(NoRouteError):  # the exchange is back, its bindings are not
            await soon(bus.publish(Publication("storage.x", b"x")))
        assert consumer.connected
        again = await bus.consume("storage")
        await bus.publish(Publication("storage.x", b"x"))
        waiting = {asyncio.create_task(one.receive()) for one in (consumer, again)}
        done, pending = await soon(asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED))
        assert [delivery.body for delivery in done.pop().result()] == [b"x"]
        for task in pending:
            task.cancel()


async def test_a_channel_closed_by_the_broker_is_noticed_and_made_again(
    fresh_amqp_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with RabbitBus(fresh_amqp_url) as bus:
        consumer = await bus.consume("storage")
        await bus.publish(Publication("storage.x", b"x"))
        await take(consumer, 1)
        # As after the broker's own acknowledgement timeout: the channel is closed with 406.
        subscription = consumer._subscription
        assert subscription is not None
        await subscription._channel.basic_ack(4711)
        (again,) = await take(consumer, 1)
        assert (again.body, again.redelivered) == (b"x", True)
    assert any("consumer of storage is lost" in text for text in warnings_of(caplog))


async def test_a_broker_that_falls_silent_is_unavailable_in_time_and_found_again(
    amqp_url: str,
) -> None:
    harness = RabbitHarness(amqp_url)
    async with proxy_to(amqp_url) as (proxy, url):
        bus = RabbitBus(f"{url}?heartbeat=1", namespace=harness.namespace, operation_timeout=0.5)
        async with bus:
            consumer = await bus.consume("storage")
            before = proxy.connections
            proxy.freeze()
            with pytest.raises(UnavailableError):
                await soon(bus.publish(Publication("storage.x", b"lost?")))
            with pytest.raises(UnavailableError):
                await soon(bus.reply(f"{harness.namespace}.reply.x", b"lost?", None))
            await soon(consumer.ack([]))
            await until(lambda: _is(not consumer.connected))
            proxy.thaw()
            await until(lambda: _is(consumer.connected and proxy.connections > before))
            await _publish_until_routed(bus)
            await soon(consumer.receive())


async def test_closing_while_the_broker_is_silent_takes_seconds_at_most(amqp_url: str) -> None:
    harness = RabbitHarness(amqp_url)
    async with proxy_to(amqp_url) as (proxy, url):
        bus = RabbitBus(url, namespace=harness.namespace)
        await bus.__aenter__()
        await bus.consume("storage")
        await bus.open_reply_address("me", Replies())
        proxy.freeze()
        publishing = asyncio.create_task(bus.publish(Publication("storage.x", b"x")))
        await asyncio.sleep(0)
        await soon(bus.__aexit__(None, None, None))
        assert isinstance(await soon(_outcome(publishing)), BusClosedError | UnavailableError)


async def _outcome(task: asyncio.Task[None]) -> BaseException | None:
    await asyncio.wait([task])
    return task.exception()


async def _publish_until_routed(bus: Bus) -> None:
    async def routed() -> bool:
        try:
            await bus.publish(Publication("storage.x", b"x"))
        except (NoRouteError, UnavailableError):
            return False
        return True

    await until(routed)


async def _rises_by_one(address: ReplyAddress) -> None:
    before = address.generation
    await until(lambda: _is(address.generation > before))
    assert address.generation == before + 1


async def _is(condition: bool) -> bool:
    return condition


async def _at_least(count: int, wanted: int) -> bool:
    return count >= wanted
