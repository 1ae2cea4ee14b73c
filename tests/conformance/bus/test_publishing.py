"""Publishing: what arrives, what is refused, and what happens when nobody is there."""

import asyncio

import pytest

from holdfast_protocol.bus.checks import MAX_BODY_BYTES
from holdfast_protocol.bus.contract import Bus, Publication
from holdfast_protocol.errors import (
    BusClosedError,
    NoRouteError,
    TooLargeError,
    ValidationError,
)
from tests.conformance.bus.harness import Harness, has_nothing_more, soon, take


async def test_a_publication_arrives_with_all_it_carries(bus: Bus) -> None:
    consumer = await bus.consume("storage")
    body = bytes(range(256))
    await bus.publish(
        Publication("storage.storage_save", body, correlation_id="ü-1", reply_to="a.b.c")
    )
    (delivery,) = await take(consumer, 1)
    assert delivery.body == body
    assert delivery.routing_key == "storage.storage_save"
    assert delivery.correlation_id == "ü-1"
    assert delivery.reply_to == "a.b.c"
    assert delivery.user_id is None
    assert delivery.redelivered is False
    assert dict(delivery.headers) == {}


async def test_what_a_publication_does_not_carry_is_none(bus: Bus) -> None:
    consumer = await bus.consume("storage")
    await bus.publish(Publication("storage.x", b""))
    (delivery,) = await take(consumer, 1)
    assert delivery.body == b""
    assert delivery.correlation_id is None
    assert delivery.reply_to is None


async def test_every_publication_gets_a_message_id_of_its_own(bus: Bus) -> None:
    consumer = await bus.consume("storage")
    publication = Publication("storage.x", b"same")
    await asyncio.gather(*(bus.publish(publication) for _ in range(50)))
    ids = {delivery.message_id for delivery in await take(consumer, 50)}
    assert len(ids) == 50
    assert None not in ids


async def test_publications_arrive_in_the_order_of_publishing(bus: Bus) -> None:
    consumer = await bus.consume("storage")
    bodies = [str(number).encode() for number in range(100)]
    for body in bodies:
        await bus.publish(Publication("storage.x", body))
    assert [delivery.body for delivery in await take(consumer, 100)] == bodies


async def test_hundreds_of_concurrent_publications_all_arrive(bus: Bus) -> None:
    consumer = await bus.consume("storage")
    bodies = {str(number).encode() * 100 for number in range(800)}
    await soon(asyncio.gather(*(bus.publish(Publication("storage.x", body)) for body in bodies)))
    assert {delivery.body for delivery in await take(consumer, 800)} == bodies


async def test_a_body_of_many_frames_arrives_whole(bus: Bus) -> None:
    consumer = await bus.consume("storage")
    body = bytes(range(256)) * 8192
    await bus.publish(Publication("storage.x", body))
    (delivery,) = await take(consumer, 1)
    assert delivery.body == body


@pytest.mark.parametrize("routing_key", ["storage", "storage.", "storage.a", "storage.a.b.c"])
async def test_every_key_that_begins_with_the_agent_is_routed_to_it(
    bus: Bus, routing_key: str
) -> None:
    consumer = await bus.consume("storage")
    await bus.publish(Publication(routing_key, b"x"))
    (delivery,) = await take(consumer, 1)
    assert delivery.routing_key == routing_key


@pytest.mark.parametrize("routing_key", ["storages.a", "other.storage", "Storage.a", "", "."])
async def test_other_keys_have_no_route(bus: Bus, routing_key: str) -> None:
    consumer = await bus.consume("storage")
    with pytest.raises(NoRouteError):
        await soon(bus.publish(Publication(routing_key, b"x")))
    assert await has_nothing_more(bus, consumer, "storage")


async def test_without_a_queue_there_is_no_route(bus: Bus) -> None:
    with pytest.raises(NoRouteError):
        await soon(bus.publish(Publication("nobody.x", b"x")))


async def test_one_publication_without_route_does_not_disturb_the_others(bus: Bus) -> None:
    consumer = await bus.consume("storage")
    keys = ["storage.x", "nobody.x"] * 100
    outcomes = await soon(
        asyncio.gather(
            *(bus.publish(Publication(key, b"x")) for key in keys), return_exceptions=True
        )
    )
    assert [isinstance(outcome, NoRouteError) for outcome in outcomes] == [False, True] * 100
    assert len(await take(consumer, 100)) == 100


async def test_namespaces_do_not_meet(harness: Harness, bus: Bus) -> None:
    async with harness.bus(namespace=f"{bus.namespace}_2") as other:
        consumer, theirs = await bus.consume("storage"), await other.consume("storage")
        await other.publish(Publication("storage.x", b"theirs"))
        assert [delivery.body for delivery in await take(theirs, 1)] == [b"theirs"]
        assert await has_nothing_more(bus, consumer, "storage")


async def test_a_queue_keeps_what_comes_while_nobody_consumes(harness: Harness, bus: Bus) -> None:
    async with harness.bus() as other:
        await other.consume("storage")
    await bus.publish(Publication("storage.x", b"kept"))
    (delivery,) = await take(await bus.consume("storage"), 1)
    assert (delivery.body, delivery.redelivered) == (b"kept", False)


async def test_an_expired_publication_is_not_delivered_but_dead_lettered(
    harness: Harness, bus: Bus
) -> None:
    consumer = await bus.consume("storage", prefetch=1)
    await bus.publish(Publication("storage.x", b"first"))
    first = await take(consumer, 1)
    await bus.publish(Publication("storage.x", b"late", expiration_seconds=0.001))
    await bus.publish(Publication("storage.x", b"in time", expiration_seconds=3600))
    # Both wait behind the prefetch; the broker's clock passes the millisecond meanwhile.
    await asyncio.sleep(0.05)
    await consumer.ack(first)
    assert [delivery.body for delivery in await take(consumer, 1)] == [b"in time"]
    (letter,) = await harness.dead_letters(1)
    assert letter.body == b"late"


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("inf"), 1e12])
async def test_any_expiration_is_carried(bus: Bus, seconds: float) -> None:
    await bus.consume("storage")
    await soon(bus.publish(Publication("storage.x", b"x", expiration_seconds=seconds)))


@pytest.mark.parametrize(
    "publication",
    [
        Publication("storage." + "k" * 248, b"x"),
        Publication("storage.x", b"x", correlation_id="c" * 256),
        Publication("storage.x", b"x", correlation_id="ü" * 128),
        Publication("storage.x", b"x", reply_to="r" * 256),
        Publication("storage.\ud800", b"x"),
        Publication("storage.x", b"x", correlation_id="\udfff"),
        Publication("storage.x", b"x", expiration_seconds=float("nan")),
    ],
    ids=[
        "key",
        "correlation",
        "bytes not characters",
        "reply_to",
        "surrogate",
        "surrogate 2",
        "nan",
    ],
)
async def test_what_amqp_cannot_carry_is_refused_and_harms_nobody(
    bus: Bus, publication: Publication
) -> None:
    consumer = await bus.consume("storage")
    with pytest.raises(ValidationError):
        await soon(bus.publish(publication))
    assert await has_nothing_more(bus, consumer, "storage")


async def test_short_strings_may_have_255_bytes(bus: Bus) -> None:
    consumer = await bus.consume("storage")
    key, text = "storage." + "k" * 247, "ü" * 127 + "x"
    await bus.publish(Publication(key, b"x", correlation_id=text, reply_to=text))
    (delivery,) = await take(consumer, 1)
    assert (delivery.routing_key, delivery.correlation_id, delivery.reply_to) == (key, text, text)


async def test_a_body_beyond_the_brokers_limit_is_too_large(bus: Bus) -> None:
    await bus.consume("storage")
    with pytest.raises(TooLargeError):
        await soon(bus.publish(Publication("storage.x", bytes(MAX_BODY_BYTES + 1))))


async def test_a_cancelled_publish_leaves_the_bus_usable(bus: Bus) -> None:
    consumer = await bus.consume("storage")
    tasks = [asyncio.create_task(bus.publish(Publication("storage.x", b"?"))) for _ in range(20)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    await bus.publish(Publication("storage.x", b"last"))
    bodies: list[bytes] = []
    while b"last" not in bodies:
        bodies += [delivery.body for delivery in await soon(consumer.receive())]


async def test_a_bus_that_is_not_open_says_so(harness: Harness) -> None:
    bus = harness.bus()
    await _refuses_everything(bus)
    async with bus:
        assert bus.namespace
    await _refuses_everything(bus)


async def test_a_bus_can_be_opened_again(harness: Harness) -> None:
    bus = harness.bus()
    for _ in range(2):
        async with bus:
            consumer = await bus.consume("storage")
            await bus.publish(Publication("storage.x", b"x"))
            await consumer.ack(await take(consumer, 1))


async def test_an_open_bus_cannot_be_entered_twice(bus: Bus) -> None:
    with pytest.raises(RuntimeError):
        await bus.__aenter__()
    await bus.consume("storage")


async def _refuses_everything(bus: Bus) -> None:
    consumer = None
    with pytest.raises(BusClosedError):
        await bus.publish(Publication("storage.x", b"x"))
    with pytest.raises(BusClosedError):
        consumer = await bus.consume("storage")
    assert consumer is None
    with pytest.raises(BusClosedError):
        await bus.open_reply_address("me", lambda _: None)
    with pytest.raises(BusClosedError):
        await bus.reply("holdfast.reply.x", b"x", None)
