"""A consumer's bound of bytes: what is unsettled stays within it, whatever the bodies."""

import asyncio

import pytest

from holdfast_protocol.bus.contract import Bus, Consumer, Delivery, Publication
from tests.conformance.bus.harness import Harness, Replies, has_nothing_more, soon, take

MIB = 1024 * 1024


async def publish(bus: Bus, sizes: list[int]) -> None:
    """One body of each size, its number in its first bytes."""
    await soon(
        asyncio.gather(
            *(
                bus.publish(Publication("storage.x", b"%8d" % number + bytes(size - 8)))
                for number, size in enumerate(sizes)
            )
        )
    )


async def drain(consumer: Consumer, count: int, max_held: int) -> set[int]:
    """Receive and settle until all have come; never more than `max_held` bytes at once."""
    seen: set[int] = set()
    while len(seen) < count:
        deliveries = await soon(consumer.receive())
        assert sum(len(delivery.body) for delivery in deliveries) <= max_held
        seen |= {number_of(delivery) for delivery in deliveries}
        await consumer.ack(deliveries)
    return seen


def number_of(delivery: Delivery) -> int:
    return int(delivery.body[:8])


async def test_all_arrive_through_a_small_bound(harness: Harness, bus: Bus) -> None:
    await (await bus.consume("storage")).cancel()
    await publish(bus, [MIB] * 100)
    async with harness.bus() as agent:
        consumer = await agent.consume("storage", max_bytes=5 * MIB)
        assert await drain(consumer, 100, max_held=6 * MIB) == set(range(100))
        assert await has_nothing_more(bus, consumer, "storage")


async def test_beyond_the_bound_nothing_comes_until_something_is_settled(bus: Bus) -> None:
    consumer = await bus.consume("storage", max_bytes=2 * MIB)
    await publish(bus, [MIB] * 20)
    held: list[Delivery] = []
    while len(held) < 2:
        held += await soon(consumer.receive())
    waiting = asyncio.create_task(consumer.receive())
    await bus.publish(Publication("storage.x", b"      20"))
    # What was on its way when the bound was reached may have come too, but no more.
    if waiting.done():
        held += waiting.result()
        waiting = asyncio.create_task(consumer.receive())
    assert len(held) <= 4
    await consumer.ack(held)
    more = await soon(waiting)
    await consumer.ack(more)
    seen = {number_of(delivery) for delivery in held + more}
    assert seen | await drain(consumer, 21 - len(seen), max_held=4 * MIB) == set(range(21))


async def test_what_is_given_back_makes_room_too(bus: Bus) -> None:
    consumer = await bus.consume("storage", max_bytes=MIB)
    await publish(bus, [MIB] * 3)
    deliveries = await take(consumer, 1)
    for _ in range(5):
        await consumer.requeue(deliveries)
        deliveries = await take(consumer, 1)
    seen = {number_of(delivery) for delivery in deliveries}
    await consumer.ack(deliveries)
    assert seen | await drain(consumer, 2, max_held=MIB) == {0, 1, 2}


async def test_those_larger_than_the_bound_come_one_by_one(bus: Bus) -> None:
    consumer = await bus.consume("storage", max_bytes=100)
    await publish(bus, [2 * MIB] * 4)
    seen: set[int] = set()
    for _ in range(4):
        (delivery,) = await take(consumer, 1)
        seen.add(number_of(delivery))
        await consumer.ack([delivery])
    assert seen == set(range(4))


async def test_a_consumer_that_is_full_can_be_cancelled_and_still_settles(
    harness: Harness, bus: Bus
) -> None:
    async with harness.bus() as agent:
        consumer = await agent.consume("storage", max_bytes=2 * MIB)
        await publish(bus, [MIB] * 20)
        held = await take(consumer, 2)
        await soon(consumer.cancel())
        while more := await soon(consumer.receive()):
            held += more
        assert len(held) <= 3
        await consumer.ack(held)
    other = await bus.consume("storage")
    done = {number_of(delivery) for delivery in held}
    assert await drain(other, 20 - len(done), max_held=20 * MIB) == set(range(20)) - done


async def test_a_full_consumer_holds_up_none_of_another_agent(bus: Bus) -> None:
    full = await bus.consume("storage", max_bytes=1)
    await publish(bus, [MIB] * 20)
    await take(full, 1)
    other = await bus.consume("other")
    replies = Replies()
    address = await bus.open_reply_address("me", replies)
    await bus.publish(Publication("other.x", b"x"))
    assert len(await take(other, 1)) == 1
    assert await bus.reply(address.address, b"r", None)
    assert (await replies.next()).body == b"r"


async def test_closing_a_full_consumers_bus_gives_all_back(harness: Harness, bus: Bus) -> None:
    async with harness.bus() as agent:
        consumer = await agent.consume("storage", max_bytes=MIB)
        await publish(bus, [MIB] * 10)
        await take(consumer, 1)
    consumer = await bus.consume("storage")
    assert await drain(consumer, 10, max_held=10 * MIB) == set(range(10))


@pytest.mark.parametrize("max_bytes", [0, -1])
async def test_a_bound_below_one_is_refused(bus: Bus, max_bytes: int) -> None:
    with pytest.raises(ValueError, match="max_bytes"):
        await bus.consume("storage", max_bytes=max_bytes)
