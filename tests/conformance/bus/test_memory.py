"""What only the in-process bus has: names, bounds, and a broker that tests can look into."""

import asyncio
import gc
import weakref

import pytest

from holdfast_protocol.bus.contract import Delivery, Publication
from holdfast_protocol.bus.memory import MemoryBus
from holdfast_protocol.bus.memory_broker import MemoryBroker
from holdfast_protocol.bus.opening import open_bus
from holdfast_protocol.errors import BusClosedError, OverloadedError
from tests.conformance.bus.harness import soon, take


async def test_the_same_name_is_the_same_broker() -> None:
    async with open_bus("memory://one") as first, open_bus("memory://one") as second:
        consumer = await first.consume("storage")
        await second.publish(Publication("storage.x", b"x"))
        assert len(await take(consumer, 1)) == 1


async def test_other_names_are_other_brokers() -> None:
    async with MemoryBus("one") as one, MemoryBus("two") as two, MemoryBus("") as unnamed:
        assert len({id(bus.broker) for bus in (one, two, unnamed)}) == 3


async def test_a_broker_lives_as_long_as_somebody_holds_it() -> None:
    async with MemoryBus("held") as bus:
        await bus.consume("storage")
        broker = bus.broker
    async with MemoryBus("held") as bus:
        assert bus.broker is broker
        await bus.publish(Publication("storage.x", b"kept"))
    gone = weakref.ref(broker)
    del broker
    gc.collect()
    assert gone() is None


def test_every_event_loop_has_brokers_of_its_own() -> None:
    async def broker() -> MemoryBroker:
        async with MemoryBus("loops") as bus:
            return bus.broker

    assert asyncio.run(broker()) is not asyncio.run(broker())


async def test_the_broker_of_a_closed_bus_is_not_there() -> None:
    with pytest.raises(BusClosedError):
        _ = MemoryBus().broker


async def test_a_full_queue_makes_publishers_wait_for_room() -> None:
    async with MemoryBus(broker=MemoryBroker(max_messages=2)) as bus:
        consumer = await bus.consume("storage", prefetch=1)
        for number in range(3):
            await bus.publish(Publication("storage.x", b"%d" % number))
        waiting = [
            asyncio.create_task(bus.publish(Publication("storage.x", b"late"))) for _ in range(2)
        ]
        await asyncio.sleep(0)
        assert not any(task.done() for task in waiting)
        bodies = []
        for _ in range(5):
            deliveries = await take(consumer, 1)
            bodies += [delivery.body for delivery in deliveries]
            await consumer.ack(deliveries)
        await soon(asyncio.gather(*waiting))
        assert bodies == [b"0", b"1", b"2", b"late", b"late"]


async def test_a_publisher_waits_for_room_no_longer_than_its_timeout() -> None:
    broker = MemoryBroker(max_messages=1)
    async with MemoryBus(broker=broker, operation_timeout=0.01) as bus:
        consumer = await bus.consume("storage", prefetch=1)
        await bus.publish(Publication("storage.x", b"1"))
        await bus.publish(Publication("storage.x", b"2"))
        with pytest.raises(OverloadedError):
            await soon(bus.publish(Publication("storage.x", b"3")))
        await consumer.ack(await take(consumer, 1))
        assert [delivery.body for delivery in await take(consumer, 1)] == [b"2"]


async def test_the_bytes_of_a_queue_are_bounded_but_one_large_body_passes() -> None:
    broker = MemoryBroker(max_bytes=100)
    async with MemoryBus(broker=broker, operation_timeout=0.01) as bus:
        consumer = await bus.consume("storage", prefetch=1)
        await bus.publish(Publication("storage.x", b"first"))
        await bus.publish(Publication("storage.x", b"x" * 1000))
        with pytest.raises(OverloadedError):
            await bus.publish(Publication("storage.x", b"y"))
        await consumer.ack(await take(consumer, 1))
        await consumer.ack(await take(consumer, 1))
        await bus.publish(Publication("storage.x", b"z"))
        assert [delivery.body for delivery in await take(consumer, 1)] == [b"z"]


async def test_what_expired_makes_room() -> None:
    broker = MemoryBroker(max_messages=1)
    async with MemoryBus(broker=broker, operation_timeout=0.01) as bus:
        await bus.consume("storage", prefetch=1)
        await bus.publish(Publication("storage.x", b"1"))
        await bus.publish(Publication("storage.x", b"2", expiration_seconds=0.001))
        await asyncio.sleep(0.005)
        await bus.publish(Publication("storage.x", b"3"))
        (letter,) = broker.dead_letters
        assert (letter.body, letter.headers["x-holdfast-reason"]) == (b"2", "expired")


async def test_only_the_newest_dead_letters_are_kept() -> None:
    broker = MemoryBroker(max_dead_letters=3)
    async with MemoryBus(broker=broker) as bus:
        for number in range(5):
            delivery = Delivery(b"%d" % number, "storage.x", tag=None)
            await bus.dead_letter(delivery, reason="r", error="e", agent="storage")
    assert [letter.body for letter in broker.dead_letters] == [b"2", b"3", b"4"]


async def test_deliveries_alternate_between_free_consumers() -> None:
    async with MemoryBus(broker=MemoryBroker()) as bus:
        first, second = await bus.consume("storage"), await bus.consume("storage")
        for number in range(6):
            await bus.publish(Publication("storage.x", b"%d" % number))
        assert [delivery.body for delivery in await take(first, 3)] == [b"0", b"2", b"4"]
        assert [delivery.body for delivery in await take(second, 3)] == [b"1", b"3", b"5"]
