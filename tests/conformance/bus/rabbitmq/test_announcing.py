"""Announcing and listening over a broker: plain AMQP on either side, and lost connections."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

import aio_pika
import pytest

from holdfast_protocol.bus.contract import Announcement, Broadcast, Publication
from holdfast_protocol.bus.rabbitmq import announcing
from holdfast_protocol.bus.rabbitmq.bus import RabbitBus
from holdfast_protocol.errors import UnavailableError
from tests.conformance.bus.harness import Heard, RabbitHarness, soon
from tests.conformance.bus.rabbitmq.tools import Proxy, call, proxy_to, until, vhost_of
from tests.services import BrokerApi

pytestmark = pytest.mark.amqp


@dataclass
class Setting:
    """A bus behind a proxy that can cut its connections, and one that is never cut."""

    bus: RabbitBus
    proxy: Proxy
    other: RabbitBus


@pytest.fixture
async def setting(amqp_url: str) -> AsyncIterator[Setting]:
    namespace = RabbitHarness(amqp_url).namespace
    async with (
        proxy_to(amqp_url) as (proxy, url),
        RabbitBus(url, namespace=namespace) as bus,
        RabbitBus(amqp_url, namespace=namespace) as other,
    ):
        yield Setting(bus, proxy, other)


def numbered(first: int, last: int) -> list[Announcement]:
    return [Announcement("events", "a", b"%d" % number) for number in range(first, last)]


async def test_a_plain_consumer_gets_persistent_messages_with_their_id(amqp_url: str) -> None:
    harness = RabbitHarness(amqp_url)
    async with harness.bus() as bus, await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel()
        await bus.announce([])
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind(f"{harness.namespace}.events", "tasks.created")
        await bus.announce([Announcement("events", "tasks.created", b"{}", "tasks/1")] * 2)
        for _ in range(2):
            message = await queue.get()
            assert (message.body, message.message_id) == (b"{}", "tasks/1")
            assert message.routing_key == "tasks.created"
            assert message.delivery_mode == aio_pika.DeliveryMode.PERSISTENT


async def test_a_listener_is_told_who_the_broker_vouches_for(amqp_url: str) -> None:
    harness = RabbitHarness(amqp_url)
    heard = Heard()
    async with harness.bus() as bus, await aio_pika.connect(amqp_url) as connection:
        await bus.listen("control", ["storage.#"], heard)
        channel = await connection.channel()
        exchange = await channel.get_exchange(f"{harness.namespace}.control")
        user = connection.url.user
        await exchange.publish(
            aio_pika.Message(b"{}", user_id=user, message_id="m"), "storage.cancel"
        )
        assert await heard.next() == Broadcast("storage.cancel", b"{}", "m", user)


async def test_a_queue_that_is_full_stops_nobody(amqp_url: str) -> None:
    harness = RabbitHarness(amqp_url)
    heard = Heard()
    async with harness.bus() as bus, await aio_pika.connect(amqp_url) as connection:
        await bus.listen("events", ["#"], heard)
        channel = await connection.channel()
        full = await channel.declare_queue(
            exclusive=True, arguments={"x-max-length": 1, "x-overflow": "reject-publish"}
        )
        await full.bind(f"{harness.namespace}.events", "#")
        assert await soon(bus.announce(numbered(0, 500))) == [True] * 500
        assert await heard.bodies(500) == [b"%d" % number for number in range(500)]


async def test_what_is_rejected_right_after_a_lost_connection_is_not_taken_for_delivered(
    setting: Setting, amqp_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cluster's queue may be without a leader; one that is full stops nobody for long."""
    bus = setting.bus
    assert await bus.announce(numbered(0, 1)) == [False]
    async with await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel()
        full = await channel.declare_queue(
            exclusive=True, arguments={"x-max-length": 1, "x-overflow": "reject-publish"}
        )
        await full.bind(f"{bus.namespace}.events", "#")
        setting.proxy.cut()
        with suppress(UnavailableError):  # the loss may not be noticed yet
            await soon(bus.announce(numbered(1, 2)))
        with pytest.raises(UnavailableError, match="takes nothing"):
            await soon(bus.announce(numbered(1, 5)))
        monkeypatch.setattr(announcing, "DOUBTFUL_SECONDS", 0.0)
        assert await soon(bus.announce(numbered(1, 5))) == [True] * 4


async def test_what_a_cluster_rejects_at_first_is_not_taken_for_delivered(
    amqp_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another node than ours may be gone, of which no lost connection tells."""
    parts = urlsplit(amqp_url)
    harness = RabbitHarness(parts._replace(netloc=f"{parts.netloc},127.0.0.1:1").geturl())
    async with harness.bus() as bus, await aio_pika.connect(amqp_url) as connection:
        assert await bus.announce(numbered(0, 1)) == [False]
        channel = await connection.channel()
        full = await channel.declare_queue(
            exclusive=True, arguments={"x-max-length": 1, "x-overflow": "reject-publish"}
        )
        await full.bind(f"{harness.namespace}.events", "#")
        for _ in range(2):
            with pytest.raises(UnavailableError, match="takes nothing"):
                await soon(bus.announce(numbered(1, 5)))
        # It still takes nothing: it is full, and stops nobody any more.
        monkeypatch.setattr(announcing, "DOUBTFUL_SECONDS", 0.0)
        assert await soon(bus.announce(numbered(1, 5))) == [True] * 4
        monkeypatch.undo()
        monkeypatch.setattr(announcing, "_QUIET_SECONDS", 0.0)
        with pytest.raises(UnavailableError, match="takes nothing"):
            await soon(bus.announce(numbered(5, 9)))


async def test_a_listener_is_made_again_and_says_so(setting: Setting) -> None:
    heard = Heard()
    listener = await setting.bus.listen("events", ["#"], heard, heard.ready)
    await soon(heard.readiness.get())
    for round_ in range(2):
        setting.proxy.cut()
        await soon(heard.readiness.get())
        assert listener.connected
        assert await setting.other.announce(numbered(round_, round_ + 1)) == [True]
        assert await heard.bodies(1) == [b"%d" % round_]


async def test_the_listeners_queue_goes_with_its_connection(
    fresh_amqp_url: str, rabbitmq_api: BrokerApi
) -> None:
    async def queues() -> set[str]:
        listed = await call(rabbitmq_api, "GET", "queues", vhost_of(fresh_amqp_url))
        return {entry["name"] for entry in listed}

    async with RabbitBus(fresh_amqp_url) as bus:
        await bus.listen("events", ["#"], Heard())
        assert len(await queues()) == 2
    assert await queues() == {"holdfast.dead-letters"}


async def test_announcing_through_cuts_is_a_prefix_each_time_and_never_out_of_order(
    setting: Setting,
) -> None:
    """Whoever begins again from what it knows is heard in order, with repetitions."""
    heard = Heard()
    await setting.other.listen("events", ["#"], heard)
    count, step, confirmed, failures = 20_000, 1000, 0, 0
    while confirmed < count:
        if confirmed % 5000 == 4000 and failures <= confirmed // 5000:
            asyncio.get_running_loop().call_later(0.005, setting.proxy.cut)
        try:
            await soon(setting.bus.announce(numbered(confirmed, confirmed + step)))
            confirmed += step
        except UnavailableError:
            failures += 1
    assert failures
    highest = -1
    while highest < count - 1:
        number = int((await heard.next()).body)
        assert number <= highest + 1
        highest = max(highest, number)


async def test_after_a_lost_connection_nothing_is_sent_again_by_itself(setting: Setting) -> None:
    heard = Heard()
    await setting.other.listen("events", ["#"], heard)
    await setting.bus.announce(numbered(0, 1))
    setting.proxy.freeze()
    announcing = asyncio.create_task(setting.bus.announce(numbered(1, 4)))
    await until(lambda: _is(not announcing.done()))
    setting.proxy.cut()
    setting.proxy.thaw()
    with pytest.raises(UnavailableError):
        await soon(announcing)
    assert await soon(setting.bus.announce(numbered(9, 10))) == [True]
    bodies = await heard.bodies(2)
    while bodies[-1] != b"9":
        bodies += await heard.bodies(1)
    assert bodies in ([b"0", b"9"], [b"0", b"1", b"2", b"3", b"9"])


async def test_what_is_not_confirmed_in_time_is_unavailable(amqp_url: str) -> None:
    namespace = RabbitHarness(amqp_url).namespace
    async with (
        RabbitBus(amqp_url, namespace=namespace),  # declares, which takes a busy broker long
        proxy_to(amqp_url) as (proxy, url),
        RabbitBus(url, namespace=namespace, operation_timeout=2) as bus,
    ):
        await bus.announce(numbered(0, 1))
        proxy.freeze()
        with pytest.raises(UnavailableError):
            await soon(bus.announce(numbered(1, 2)))
        proxy.thaw()
        await until(lambda: _announced(bus))


async def test_closing_the_bus_ends_what_is_being_announced(setting: Setting) -> None:
    await setting.bus.announce(numbered(0, 1))
    setting.proxy.freeze()
    announcing = asyncio.create_task(setting.bus.announce(numbered(1, 2)))
    await asyncio.sleep(0)
    closing = asyncio.create_task(setting.bus.__aexit__(None, None, None))
    with pytest.raises(UnavailableError):
        await soon(announcing)
    setting.proxy.thaw()
    await soon(closing)


async def test_announcing_and_publishing_go_together(setting: Setting) -> None:
    consumer = await setting.bus.consume("storage")
    heard = Heard()
    await setting.bus.listen("events", ["#"], heard)

    async def publish() -> None:
        for _ in range(200):
            await setting.bus.publish(Publication("storage.x", b"x"))

    async def receive() -> None:
        left = 200
        while left:
            deliveries = await consumer.receive()
            await consumer.ack(deliveries)
            left -= len(deliveries)

    async def announce() -> None:
        for first in range(0, 5000, 50):
            assert await setting.bus.announce(numbered(first, first + 50)) == [True] * 50

    await soon(asyncio.gather(publish(), receive(), announce()))
    assert await heard.bodies(5000) == [b"%d" % number for number in range(5000)]


async def _is(condition: bool) -> bool:
    return condition


async def _announced(bus: RabbitBus) -> bool:
    try:
        await bus.announce(numbered(2, 3))
    except UnavailableError:
        return False
    return True
