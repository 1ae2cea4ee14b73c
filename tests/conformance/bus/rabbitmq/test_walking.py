"""Walks through the dead letters of a broker: forged deaths, strange senders, lost connections."""

from datetime import UTC, datetime
from typing import Any

import aio_pika
import pytest

from holdfast_protocol.bus.contract import Bus, DeadLetter, Delivery, Publication
from holdfast_protocol.bus.rabbitmq.bus import RabbitBus
from holdfast_protocol.errors import UnavailableError
from tests.conformance.bus.harness import RabbitHarness, soon, take
from tests.conformance.bus.rabbitmq.tools import (
    FLAG_HEADERS,
    nested,
    proxy_to,
    publish_raw,
    short,
    table,
    until,
)

pytestmark = pytest.mark.amqp


async def letter_with(amqp_url: str, headers: dict[str, Any], **properties: Any) -> DeadLetter:
    """What a walk makes of a dead letter with such headers."""
    harness = RabbitHarness(amqp_url)
    async with harness.bus() as bus, await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel()
        dead = await channel.get_exchange(f"{harness.namespace}.dead")
        await dead.publish(aio_pika.Message(b"x", headers=headers, **properties), "storage.x")
        async with bus.dead_letters() as walk:
            (letter,) = await walk.take(1)
    return letter


@pytest.mark.parametrize(
    "forged",
    [
        "text",
        7,
        [],
        ["text"],
        [7, None],
        {"reason": "expired"},
        [{}],
        [{"reason": 7, "queue": "q"}],
        [{"reason": "expired", "queue": ["q"]}],
    ],
)
async def test_a_forged_death_is_no_death(amqp_url: str, forged: Any) -> None:
    letter = await letter_with(amqp_url, {"x-death": forged, "x-holdfast-reason": "ours"})
    assert (letter.reason, letter.agent, letter.at) == ("ours", "", None)
    assert letter.routing_key == "storage.x"


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"time": "yesterday"}, ("expired", "", None)),
        ({"queue": ".agent.storage"}, ("expired", "", None)),
        ({"routing-keys": ["elsewhere"], "count": -1}, ("expired", "", None)),
        (
            {"time": datetime(2026, 1, 2, tzinfo=UTC), "routing-keys": 7},
            ("expired", "", datetime(2026, 1, 2, tzinfo=UTC)),
        ),
    ],
)
async def test_of_a_death_what_can_be_read_is_read(
    amqp_url: str, entry: dict[str, Any], expected: tuple[str, str, datetime | None]
) -> None:
    letter = await letter_with(amqp_url, {"x-death": [{"reason": "expired", "queue": "q"} | entry]})
    assert (letter.reason, letter.agent, letter.at) == expected
    assert (letter.routing_key, letter.attempts) == ("storage.x", 1)


@pytest.mark.parametrize(
    ("attempts", "expected"), [("3", 3), ("-3", 1), ("many", 1), ("9" * 5000, 1), (2**40, 10**9)]
)
async def test_forged_attempts_are_a_number_at_most(
    amqp_url: str, attempts: Any, expected: int
) -> None:
    letter = await letter_with(amqp_url, {"x-holdfast-attempts": attempts, "x-holdfast-at": "?"})
    assert letter.attempts == expected
    assert letter.at is None


async def test_headers_that_nobody_can_read_do_not_end_the_walk(amqp_url: str) -> None:
    harness = RabbitHarness(amqp_url)
    async with harness.bus() as bus:
        exchange = f"{harness.namespace}.dead"
        for value in (nested(300), b"T" + b"\xff" * 8, b"S\0\0\0\1\xff"):
            headers = table(short(b"x-death") + value, short(b"k") + b"V")
            await _publish_dead(amqp_url, exchange, headers)
        await until(lambda: _is_total(bus, 3))  # they were published without a confirm
        async with bus.dead_letters() as walk:
            letters = await walk.take(10)
            assert [letter.body for letter in letters] == [b"x"] * 3
            await walk.remove(letters)
        assert await _total(bus) == 0


async def test_a_lost_connection_ends_the_walk_and_gives_all_back(amqp_url: str) -> None:
    namespace = RabbitHarness(amqp_url).namespace
    async with proxy_to(amqp_url) as (proxy, url), RabbitBus(url, namespace=namespace) as bus:
        for number in range(3):
            delivery = Delivery(b"%d" % number, "storage.x", tag=None)
            await bus.dead_letter(delivery, reason="r", error="e", agent="a")
        async with bus.dead_letters() as walk:
            letters = await walk.take(2)
            await walk.remove(letters[:1])
            proxy.cut()
            for use in (walk.remove(letters[1:]), walk.take(1)):
                with pytest.raises(UnavailableError):
                    await soon(use)
        async with RabbitBus(amqp_url, namespace=namespace) as other:
            await until(lambda: _is_total(other, 2))


async def test_a_walk_declares_nothing_and_asks_whether_the_namespace_is_right(
    amqp_url: str,
) -> None:
    harness = RabbitHarness(amqp_url)
    async with harness.bus() as bus, await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel()
        await channel.queue_delete(f"{harness.namespace}.dead-letters")
        for _ in range(2):
            with pytest.raises(UnavailableError, match="is it the right one") as caught:
                async with bus.dead_letters():
                    pass
            assert caught.value.details == {"reason": "ChannelNotFoundEntity"}
            assert harness.namespace in caught.value.message


async def test_a_broker_that_does_not_answer_is_unavailable(amqp_url: str) -> None:
    namespace = RabbitHarness(amqp_url).namespace
    async with (
        proxy_to(amqp_url) as (proxy, url),
        RabbitBus(url, namespace=namespace, operation_timeout=0.5) as bus,
    ):
        async with bus.dead_letters() as walk:
            proxy.freeze()
            with pytest.raises(UnavailableError):
                await soon(walk.remove([]))
        with pytest.raises(UnavailableError):
            async with bus.dead_letters():
                pass
        proxy.thaw()


async def test_the_count_of_deliveries_is_the_brokers_and_not_the_senders(amqp_url: str) -> None:
    harness = RabbitHarness(amqp_url)
    async with harness.bus() as bus, await aio_pika.connect(amqp_url) as connection:
        consumer = await bus.consume("storage")
        channel = await connection.channel()
        exchange = await channel.get_exchange(f"{harness.namespace}.messages")
        message = aio_pika.Message(b"x", headers={"x-delivery-count": 99})
        await exchange.publish(message, "storage.x")
        (delivery,) = await take(consumer, 1)
        assert delivery.attempts == 1
        await consumer.requeue([delivery])
        (again,) = await take(consumer, 1)
        assert again.attempts == 2


async def test_many_letters_are_walked_through(amqp_url: str) -> None:
    async with RabbitHarness(amqp_url).bus() as bus:
        for number in range(500):
            delivery = Delivery(b"%d" % number, "storage.x", tag=None)
            await bus.dead_letter(delivery, reason="r", error="e", agent="a")
        async with bus.dead_letters() as walk:
            bodies: list[bytes] = []
            while letters := await walk.take(100):
                bodies += [letter.body for letter in letters]
                await walk.remove(letters)
        assert bodies == [b"%d" % number for number in range(500)]
        assert await _total(bus) == 0
        await bus.consume("storage")
        await bus.publish(Publication("storage.x", b"x"))


async def _publish_dead(url: str, exchange: str, headers: bytes) -> None:
    await publish_raw(
        url, exchange, b"storage.x", b"x", flags=FLAG_HEADERS, properties=headers, kind="fanout"
    )


async def _total(bus: Bus) -> int:
    async with bus.dead_letters() as walk:
        return walk.total


async def _is_total(bus: Bus, expected: int) -> bool:
    return await _total(bus) == expected
