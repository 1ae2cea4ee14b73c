"""Consuming: prefetch, competition, settling, cancelling, and what comes again."""

import asyncio

import pytest

from holdfast_protocol.bus.contract import Bus, Consumer, Publication
from tests.conformance.bus.harness import Harness, has_nothing_more, soon, take


async def publish(bus: Bus, *bodies: bytes) -> None:
    for body in bodies:
        await bus.publish(Publication("storage.x", body))


async def test_receive_waits_until_something_arrives(bus: Bus) -> None:
    consumer = await bus.consume("storage")
    waiting = asyncio.create_task(consumer.receive())
    await asyncio.sleep(0)
    assert not waiting.done()
    await publish(bus, b"x")
    assert [delivery.body for delivery in await soon(waiting)] == [b"x"]


async def test_receive_hands_out_everything_that_has_arrived(harness: Harness, bus: Bus) -> None:
    consumer = await bus.consume("storage")
    await publish(bus, *[b"x"] * 100)
    # A second round trip: when the marker's own agent has it, the hundred have arrived too.
    marker = await bus.consume("marker")
    await bus.publish(Publication("marker.x", b"marker"))
    await take(marker, 1)
    batches = 0
    count = 0
    while count < 100:
        count += len(await soon(consumer.receive()))
        batches += 1
    assert batches < 20


async def test_a_consumer_has_no_more_unsettled_than_its_prefetch(bus: Bus) -> None:
    consumer = await bus.consume("storage", prefetch=3)
    await publish(bus, b"1", b"2", b"3", b"4", b"5")
    first = await take(consumer, 3)
    more = asyncio.create_task(consumer.receive())
    await _has_arrived(bus)
    assert not more.done()
    await consumer.ack(first[:1])
    assert [delivery.body for delivery in await soon(more)] == [b"4"]
    await consumer.requeue(first[1:2])
    assert [delivery.body for delivery in await take(consumer, 1)] in ([b"2"], [b"5"])


async def test_consumers_of_one_agent_compete(harness: Harness, bus: Bus) -> None:
    async with harness.bus() as other:
        mine = await bus.consume("storage", prefetch=5)
        theirs = await other.consume("storage", prefetch=5)
        bodies = {str(number).encode() for number in range(10)}
        await publish(bus, *sorted(bodies))
        got = await take(mine, 5), await take(theirs, 5)
        assert {delivery.body for part in got for delivery in part} == bodies


async def test_two_consumers_of_one_bus_compete_too(bus: Bus) -> None:
    first = await bus.consume("storage", prefetch=1)
    second = await bus.consume("storage", prefetch=1)
    await publish(bus, b"1", b"2")
    got = await take(first, 1) + await take(second, 1)
    assert {delivery.body for delivery in got} == {b"1", b"2"}


async def test_agents_have_queues_of_their_own(bus: Bus) -> None:
    storage, cache = await bus.consume("storage"), await bus.consume("caching")
    await bus.publish(Publication("caching.x", b"cache"))
    await publish(bus, b"storage")
    assert [delivery.body for delivery in await take(cache, 1)] == [b"cache"]
    assert [delivery.body for delivery in await take(storage, 1)] == [b"storage"]


async def test_what_was_acked_never_comes_again(harness: Harness, bus: Bus) -> None:
    async with harness.bus() as other:
        consumer = await other.consume("storage")
        await publish(bus, b"1", b"2", b"3")
        await consumer.ack(await take(consumer, 3))
    assert await has_nothing_more(bus, await bus.consume("storage"), "storage")


async def test_what_was_not_acked_comes_again_when_the_bus_closes(
    harness: Harness, bus: Bus
) -> None:
    async with harness.bus() as other:
        consumer = await other.consume("storage")
        await publish(bus, b"1", b"2", b"3", b"4", b"5")
        deliveries = await take(consumer, 5)
        await consumer.ack([deliveries[1], deliveries[3]])
    again = await take(await bus.consume("storage"), 3)
    assert [delivery.body for delivery in again] == [b"1", b"3", b"5"]
    assert all(delivery.redelivered for delivery in again)


async def test_what_was_never_received_comes_again_too(harness: Harness, bus: Bus) -> None:
    async with harness.bus() as other:
        await other.consume("storage")
        await publish(bus, b"1", b"2")
    again = await take(await bus.consume("storage"), 2)
    assert [delivery.body for delivery in again] == [b"1", b"2"]


async def test_it_comes_again_as_it_was(harness: Harness, bus: Bus) -> None:
    async with harness.bus() as other:
        consumer = await other.consume("storage")
        await bus.publish(Publication("storage.x", b"x", correlation_id="c", reply_to="r"))
        (before,) = await take(consumer, 1)
    (after,) = await take(await bus.consume("storage"), 1)
    assert (after.body, after.correlation_id, after.reply_to) == (b"x", "c", "r")
    assert after.message_id == before.message_id


async def test_requeue_gives_back_to_be_delivered_again(bus: Bus) -> None:
    consumer = await bus.consume("storage")
    await publish(bus, b"1", b"2")
    first, second = await take(consumer, 2)
    await consumer.requeue([first])
    (again,) = await take(consumer, 1)
    assert (again.body, again.redelivered) == (b"1", True)
    await consumer.ack([again, second])
    assert await has_nothing_more(bus, consumer, "storage")


async def test_requeue_gives_to_whoever_is_free(harness: Harness, bus: Bus) -> None:
    async with harness.bus() as other:
        mine = await bus.consume("storage", prefetch=2)
        await publish(bus, b"1", b"2")
        deliveries = await take(mine, 2)
        await mine.cancel()
        theirs = await other.consume("storage")
        await mine.requeue(deliveries)
        assert [delivery.body for delivery in await take(theirs, 2)] == [b"1", b"2"]


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2], [2, 0, 3, 1]])
async def test_deliveries_may_be_acked_one_by_one_in_any_order(
    harness: Harness, bus: Bus, order: list[int]
) -> None:
    async with harness.bus() as other:
        consumer = await other.consume("storage")
        await publish(bus, b"0", b"1", b"2", b"3", b"4")
        deliveries = await take(consumer, 5)
        for index in order:
            await consumer.ack([deliveries[index]])
        await consumer.requeue([deliveries[4]])
        (again,) = await take(consumer, 1)
        assert again.body == b"4"
        await consumer.ack([again])
    assert await has_nothing_more(bus, await bus.consume("storage"), "storage")


async def test_ack_settles_nothing_that_was_not_handed_in(harness: Harness, bus: Bus) -> None:
    async with harness.bus() as other:
        consumer = await other.consume("storage")
        await publish(bus, *[str(number).encode() for number in range(20)])
        deliveries = await take(consumer, 20)
        odd = [delivery for delivery in deliveries if int(delivery.body) % 2]
        await consumer.ack(odd[5:])
        await consumer.ack(odd[:5])
    again = await take(await bus.consume("storage"), 10)
    assert [int(delivery.body) for delivery in again] == list(range(0, 20, 2))


async def test_acks_and_requeues_at_the_same_time_keep_apart(harness: Harness, bus: Bus) -> None:
    async with harness.bus() as other:
        consumer = await other.consume("storage")
        await publish(bus, *[str(number).encode() for number in range(90)])
        deliveries = await take(consumer, 90)
        await consumer.cancel()
        await asyncio.gather(
            *(
                consumer.requeue([delivery])
                if int(delivery.body) % 3 == 0
                else consumer.ack([delivery])
                for delivery in deliveries
            )
        )
        back = await bus.consume("storage")
        again = await take(back, 30)
        assert sorted(int(delivery.body) for delivery in again) == list(range(0, 90, 3))
        await back.ack(again)
        await has_nothing_more(bus, back, "storage")
    assert await has_nothing_more(bus, back, "storage")


async def test_settling_twice_is_harmless(bus: Bus) -> None:
    consumer = await bus.consume("storage")
    await publish(bus, b"1")
    deliveries = await take(consumer, 1)
    await consumer.ack(deliveries)
    await consumer.ack(deliveries)
    await consumer.requeue(deliveries)
    assert await has_nothing_more(bus, consumer, "storage")


async def test_settling_a_stranger_is_harmless(bus: Bus) -> None:
    mine, strange = await bus.consume("storage"), await bus.consume("other")
    await publish(bus, b"mine")
    await bus.publish(Publication("other.x", b"strange"))
    ours, theirs = await take(mine, 1), await take(strange, 1)
    await mine.ack(theirs)
    await mine.requeue(theirs)
    await strange.requeue(theirs)
    assert [delivery.body for delivery in await take(strange, 1)] == [b"strange"]
    await mine.ack(ours)
    await mine.ack([])
    assert await has_nothing_more(bus, mine, "storage")


async def test_settling_after_the_bus_closed_is_no_error(harness: Harness, bus: Bus) -> None:
    async with harness.bus() as other:
        consumer = await other.consume("storage")
        await publish(bus, b"1", b"2")
        deliveries = await take(consumer, 2)
    await soon(consumer.ack(deliveries[:1]))
    await soon(consumer.requeue(deliveries[1:]))
    await soon(consumer.cancel())
    assert len(await take(await bus.consume("storage"), 2)) == 2


async def test_after_cancel_what_had_arrived_is_handed_out_and_then_nothing(bus: Bus) -> None:
    consumer = await bus.consume("storage", prefetch=2)
    await publish(bus, b"1", b"2", b"3")
    first = await take(consumer, 2)
    await consumer.ack(first[:1])
    await _has_arrived(bus)
    await consumer.cancel()
    assert [delivery.body for delivery in await soon(consumer.receive())] == [b"3"]
    for _ in range(3):
        assert await soon(consumer.receive()) == []


async def test_a_cancelled_consumer_takes_nothing_more(harness: Harness, bus: Bus) -> None:
    async with harness.bus() as other:
        cancelled, consumer = await other.consume("storage"), await bus.consume("storage")
        await cancelled.cancel()
        await publish(bus, b"1", b"2", b"3", b"4")
        assert len(await take(consumer, 4)) == 4
        assert await soon(cancelled.receive()) == []


async def test_what_was_handed_out_can_be_settled_after_cancel(harness: Harness, bus: Bus) -> None:
    async with harness.bus() as other:
        consumer = await other.consume("storage")
        await publish(bus, b"done", b"back", b"left")
        deliveries = await take(consumer, 3)
        await consumer.cancel()
        await consumer.ack(deliveries[:1])
        await consumer.requeue(deliveries[1:2])
    again = await take(await bus.consume("storage"), 2)
    assert {delivery.body for delivery in again} == {b"back", b"left"}


async def test_cancel_ends_a_waiting_receive(bus: Bus) -> None:
    consumer = await bus.consume("storage")
    waiting = asyncio.create_task(consumer.receive())
    await asyncio.sleep(0)
    await consumer.cancel()
    await consumer.cancel()
    assert await soon(waiting) == []


async def test_closing_the_bus_ends_a_waiting_receive(harness: Harness) -> None:
    async with harness.bus() as bus:
        consumer = await bus.consume("storage")
        waiting = asyncio.create_task(consumer.receive())
        await asyncio.sleep(0)
    assert await soon(waiting) == []
    assert await soon(consumer.receive()) == []


async def test_a_cancelled_receive_loses_nothing(bus: Bus) -> None:
    consumer = await bus.consume("storage")
    received: list[bytes] = []
    sending = asyncio.create_task(publish(bus, *[b"%d" % number for number in range(50)]))
    while len(received) < 50:
        waiting = asyncio.create_task(consumer.receive())
        for _ in range(3):
            await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        if not waiting.cancelled():
            received += [delivery.body for delivery in waiting.result()]
    await sending
    assert received == [b"%d" % number for number in range(50)]


async def test_connected_tells_whether_deliveries_can_arrive(harness: Harness) -> None:
    async with harness.bus() as bus:
        first, second = await bus.consume("storage"), await bus.consume("storage")
        assert first.connected
        await first.cancel()
        assert not first.connected
        assert second.connected
    assert not second.connected


@pytest.mark.parametrize("agent", ["", "Storage", "a.b", "storage.#", "1a", "a" * 64, "ä"])
async def test_an_agent_needs_a_name(bus: Bus, agent: str) -> None:
    with pytest.raises(ValueError, match="agent name"):
        await bus.consume(agent)


@pytest.mark.parametrize("prefetch", [0, -1, 65_536])
async def test_prefetch_is_a_positive_short_number(bus: Bus, prefetch: int) -> None:
    with pytest.raises(ValueError, match="prefetch"):
        await bus.consume("storage", prefetch=prefetch)


async def _has_arrived(bus: Bus) -> None:
    """When a message of another agent made the way, what was sent before has made it too."""
    consumer: Consumer = await bus.consume("witness")
    for _ in range(3):
        await bus.publish(Publication("witness.x", b"x"))
        await consumer.ack(await take(consumer, 1))
