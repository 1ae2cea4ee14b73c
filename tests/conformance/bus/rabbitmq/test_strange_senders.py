"""Messages of foreign and of hostile senders: none of them stops the consumer."""

import asyncio
import struct
from datetime import UTC, datetime
from decimal import Decimal

import aio_pika
import pytest

from holdfast_protocol.bus.contract import Consumer, Delivery
from holdfast_protocol.bus.rabbitmq.bus import RabbitBus
from tests.conformance.bus.harness import RabbitHarness, Replies, has_nothing_more, soon, take
from tests.conformance.bus.rabbitmq.tools import (
    FLAG_CORRELATION_ID,
    FLAG_DELIVERY_MODE,
    FLAG_HEADERS,
    FLAG_PRIORITY,
    FLAG_TIMESTAMP,
    nested,
    publish_raw,
    short,
    table,
    warnings_of,
)

pytestmark = pytest.mark.amqp

GOOD = short(b"good") + b"S" + struct.pack(">I", 3) + b"yes"


def far_future(seconds: int) -> bytes:
    return struct.pack(">Q", seconds)


POISON: dict[str, tuple[bytes, int, bytes]] = {
    "timestamp after 9999": (b"storage.x", FLAG_TIMESTAMP, far_future(253_402_300_800_000)),
    "largest signed timestamp": (b"storage.x", FLAG_TIMESTAMP, far_future(2**63 - 1)),
    "largest timestamp": (b"storage.x", FLAG_TIMESTAMP, far_future(2**64 - 1)),
    "timestamp in a header": (
        b"storage.x",
        FLAG_HEADERS,
        table(short(b"bad") + b"T" + far_future(2**63 - 1), GOOD),
    ),
    "timestamp in a nested header": (
        b"storage.x",
        FLAG_HEADERS,
        table(short(b"bad") + b"F" + table(short(b"t") + b"T" + far_future(2**63)), GOOD),
    ),
    "key of a header is no UTF-8": (
        b"storage.x",
        FLAG_HEADERS,
        table(short(b"\xff\xfe") + b"t\x01", GOOD),
    ),
    "value of a header is no UTF-8": (
        b"storage.x",
        FLAG_HEADERS,
        table(short(b"raw") + b"S" + struct.pack(">I", 2) + b"\xff\xfe", GOOD),
    ),
    "correlation id is no UTF-8": (b"storage.x", FLAG_CORRELATION_ID, short(b"\xff\xfe")),
    "routing key is no UTF-8": (b"storage.\xff\xc3", 0, b""),
    "long routing key that is no UTF-8": (b"storage." + b"\xff" * 247, 0, b""),
    "unknown priority": (b"storage.x", FLAG_PRIORITY, b"\xff"),
    "everything at once": (
        b"storage.\xff",
        FLAG_HEADERS | FLAG_DELIVERY_MODE | FLAG_CORRELATION_ID | FLAG_TIMESTAMP,
        table(short(b"bad") + b"T" + far_future(2**63 - 1), GOOD)
        + b"\x02"
        + short(b"\xffcorrelation")
        + far_future(2**64 - 1),
    ),
}


@pytest.mark.parametrize("name", POISON)
async def test_a_poisonous_message_arrives_and_stops_nothing(
    amqp_url: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    harness = RabbitHarness(amqp_url)
    routing_key, flags, properties = POISON[name]
    async with harness.bus() as bus:
        consumer = await bus.consume("storage")
        exchange = f"{harness.namespace}.messages"
        await publish_raw(
            amqp_url, exchange, routing_key, b"poison", flags=flags, properties=properties
        )
        await publish_raw(amqp_url, exchange, b"storage.x", b"next")
        poison, following = await take(consumer, 2)
        assert (poison.body, following.body) == (b"poison", b"next")
        assert poison.redelivered is False
        assert poison.routing_key.startswith("storage.")
        if GOOD in properties:
            assert poison.headers["good"] == "yes"
        await bus.dead_letter(poison, reason="validation_error", error="poison", agent="storage")
        await consumer.ack([poison, following])
        (letter,) = await harness.dead_letters(1)
        assert letter.body == b"poison"
        assert consumer.connected
    assert warnings_of(caplog) == []


async def test_the_readable_rest_of_a_poisonous_message_is_kept(amqp_url: str) -> None:
    poison = await _receive_poison(amqp_url, "everything at once")
    assert poison.correlation_id == "?correlation"
    assert poison.routing_key == "storage.?"
    assert dict(poison.headers) == {"good": "yes"}


async def test_tables_of_any_depth_are_survived(
    amqp_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    harness = RabbitHarness(amqp_url)
    depths = [1, 50, *range(300, 500, 7), 2000, 9000]
    async with harness.bus() as bus:
        consumer = await bus.consume("storage")
        for depth in depths:
            await publish_raw(
                amqp_url,
                f"{harness.namespace}.messages",
                b"storage.x",
                str(depth).encode(),
                flags=FLAG_HEADERS,
                properties=table(short(b"deep") + nested(depth), GOOD),
            )
        deliveries = await take(consumer, len(depths))
    assert [int(delivery.body) for delivery in deliveries] == depths
    assert all(delivery.headers["good"] == "yes" for delivery in deliveries)
    assert "deep" in deliveries[0].headers
    assert "deep" not in deliveries[-1].headers
    assert warnings_of(caplog) == []


async def test_poison_in_the_reply_queue_is_survived(amqp_url: str) -> None:
    harness = RabbitHarness(amqp_url)
    async with harness.bus() as bus:
        replies = Replies()
        address = (await bus.open_reply_address("me", replies)).address
        async with await aio_pika.connect(amqp_url) as connection:
            channel = await connection.channel()
            queue = await channel.get_queue(address, ensure=False)
            await queue.bind(f"{harness.namespace}.events", "#")
        await publish_raw(
            amqp_url,
            f"{harness.namespace}.events",
            b"\xff",
            b"poison",
            flags=FLAG_TIMESTAMP,
            properties=far_future(2**63 - 1),
        )
        assert (await replies.next()).body == b"poison"
        assert await bus.reply(address, b"next", None)
        assert (await replies.next()).body == b"next"


async def test_headers_of_every_type_become_text(amqp_url: str) -> None:
    headers: aio_pika.abc.HeadersType = {
        "text": "ü",
        "yes": True,
        "number": -(2**60),
        "float": 1.5,
        "decimal": Decimal("1.50"),
        "bytes": bytearray(b"\xffab"),
        "at": datetime(2026, 1, 2, tzinfo=UTC),
        "nothing": None,
        "list": [1, "a"],
        "table": {"a": {"b": 1}},
    }
    delivery = await _receive(amqp_url, aio_pika.Message(b"x", headers=headers))
    assert dict(delivery.headers) == {
        "text": "ü",
        "yes": "True",
        "number": str(-(2**60)),
        "float": "1.5",
        "decimal": "1.50",
        "bytes": "\ufffdab",
        "at": "2026-01-02 00:00:00+00:00",
        "nothing": "None",
        "list": "[1, 'a']",
        "table": "{'a': {'b': 1}}",
    }


async def test_large_headers_arrive(amqp_url: str) -> None:
    message = aio_pika.Message(b"x", headers={f"h{n}": "v" * 1000 for n in range(100)})
    delivery = await _receive(amqp_url, message)
    assert len(delivery.headers) == 100


async def test_a_plain_client_needs_nothing_of_ours(amqp_url: str) -> None:
    """The broker's direct reply-to: an address that is no queue, and is never returned."""
    harness = RabbitHarness(amqp_url)
    async with harness.bus() as bus, await aio_pika.connect(amqp_url) as connection:
        consumer = await bus.consume("storage")
        channel = await connection.channel()
        answers: asyncio.Queue[aio_pika.abc.AbstractIncomingMessage] = asyncio.Queue()
        replies = await channel.get_queue("amq.rabbitmq.reply-to", ensure=False)
        await replies.consume(answers.put, no_ack=True)
        exchange = await channel.get_exchange(f"{harness.namespace}.messages")
        await exchange.publish(
            aio_pika.Message(
                b"?",
                reply_to="amq.rabbitmq.reply-to",
                correlation_id="c",
                message_id="m-1",
                user_id=connection.url.user,
            ),
            "storage.storage_get",
        )
        (request,) = await take(consumer, 1)
        assert (request.message_id, request.user_id) == ("m-1", connection.url.user)
        assert request.reply_to is not None
        assert request.reply_to.startswith("amq.rabbitmq.reply-to")
        assert await bus.reply(request.reply_to, b"!", request.correlation_id) is True
        answer = await soon(answers.get())
        assert (answer.body, answer.correlation_id) == (b"!", "c")
    # Whoever asked is gone: the broker does not tell, and nothing fails.
    async with harness.bus() as bus:
        assert await bus.reply(request.reply_to, b"!", "c") is True


@pytest.mark.parametrize(
    "forged",
    [
        "",
        "x",
        ".",
        ".x",
        ".ä.ö",
        ".x.y",
        ".YWJj.YWJj",
        ".g1h2.gone==",
        ".g2sAAWE=.eA==",  # a string
        ".g1h2AAhyZXBseUAxMgAAAAEAAAABAAAAAQ==.eA==",  # a process of an unknown node
    ],
)
async def test_a_forged_direct_reply_address_is_answered_by_nobody_and_harms_nobody(
    amqp_url: str, forged: str, caplog: pytest.LogCaptureFixture
) -> None:
    harness = RabbitHarness(amqp_url)
    async with harness.bus() as bus:
        consumer = await bus.consume("storage")
        address = f"amq.rabbitmq.reply-to{forged}"
        assert await soon(bus.reply(address, b"!", "c")) is False
        assert await has_nothing_more(bus, consumer, "storage")
    assert all(text.startswith("direct reply") for text in warnings_of(caplog)[:1])
    assert not any("publishing" in text or "consum" in text for text in warnings_of(caplog))


async def test_a_forged_x_death_does_not_reach_the_dead_letters(amqp_url: str) -> None:
    harness = RabbitHarness(amqp_url)
    forged: aio_pika.abc.HeadersType = {
        "x-death": [{"queue": "forged", "count": 99, "reason": "rejected"}],
        "x-holdfast-reason": "forged",
        "kept": "yes",
    }
    async with harness.bus() as bus:
        delivery = await _publish_and_take(
            amqp_url, harness, await bus.consume("storage"), aio_pika.Message(b"x", headers=forged)
        )
        await bus.dead_letter(delivery, reason="expired", error="", agent="storage")
        (letter,) = await harness.dead_letters(1)
    assert "forged" not in str(letter.headers)
    assert letter.headers["kept"] == "yes"


async def _receive(url: str, message: aio_pika.Message) -> Delivery:
    harness = RabbitHarness(url)
    async with harness.bus() as bus:
        return await _publish_and_take(url, harness, await bus.consume("storage"), message)


async def _publish_and_take(
    url: str, harness: RabbitHarness, consumer: Consumer, message: aio_pika.Message
) -> Delivery:
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        exchange = await channel.get_exchange(f"{harness.namespace}.messages")
        await exchange.publish(message, "storage.x")
    (delivery,) = await take(consumer, 1)
    return delivery


async def _receive_poison(url: str, name: str) -> Delivery:
    harness = RabbitHarness(url)
    routing_key, flags, properties = POISON[name]
    async with RabbitBus(url, namespace=harness.namespace) as bus:
        consumer = await bus.consume("storage")
        await publish_raw(
            url,
            f"{harness.namespace}.messages",
            routing_key,
            b"poison",
            flags=flags,
            properties=properties,
        )
        (delivery,) = await take(consumer, 1)
    return delivery
