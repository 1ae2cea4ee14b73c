"""What is published by others than the agent costs a subscription little, and never an event."""

import asyncio

import pytest

from holdfast_protocol import ConflictError
from holdfast_protocol.client.subscription import RESYNC_SECONDS
from holdfast_protocol.events import MAX_EVENTS_BYTES, encode_event
from holdfast_protocol.jsonbytes import join_array
from holdfast_protocol.limits import MAX_INTEGER
from tests.unit.client.ledger import Ledger, changed, publish
from tests.unit.client.scenes import scene
from tests.unit.client.test_subscribing import nothing_comes, sequences, take
from tests.unit.client.virtualtime import in_virtual_time, now


@in_virtual_time
async def test_a_body_longer_than_any_batch_is_fetched_instead() -> None:
    ledger = Ledger()
    ledger.change()
    async with scene(ledger.script) as at, at.client.subscribe("tasks.*") as events:
        publish(at.broker, b"[" + b"{}," * MAX_EVENTS_BYTES + b"{}]", "tasks")
        ledger.change()
        assert await sequences(events, 1) == [("tasks", 2)]
        assert (ledger.fetches, now()) == (1, 0)


def forged(*sequences: int, collection: str = "tasks") -> bytes:
    """A batch that the store knows nothing of."""
    return join_array(
        [encode_event(collection, "created", 666, 1, n, None, None, 0, b"{}") for n in sequences]
    )


@in_virtual_time
async def test_a_gap_within_a_batch_silences_nothing() -> None:
    ledger = Ledger()
    async with scene(ledger.script) as at, at.client.subscribe("tasks.*") as events:
        for last in (MAX_INTEGER, 9, 3):
            changed(at.broker, ledger, "tasks")
            (event,) = await take(events, 1)
            publish(at.broker, forged(event.sequence + 1, last))
            publish(at.broker, forged(event.sequence + 1, event.sequence + 1))
            changed(at.broker, ledger, "tasks")
            (event,) = await take(events, 1)
            assert event.record_id == 7
        assert await nothing_comes(events)
        assert events.positions == {"tasks": 6}


@in_virtual_time
async def test_nor_while_a_page_is_fetched() -> None:
    ledger = Ledger()
    ledger.change()
    async with scene(ledger.script) as at, at.client.subscribe("tasks.*", after=0) as events:

        def forge() -> None:
            ledger.after_reading = lambda: None
            publish(at.broker, forged(2, MAX_INTEGER))
            changed(at.broker, ledger, "tasks")

        ledger.after_reading = forge
        assert await sequences(events, 2) == [("tasks", 1), ("tasks", 2)]
        assert await nothing_comes(events)


@in_virtual_time
async def test_what_was_forged_and_waits_is_taken_back() -> None:
    ledger = Ledger()
    ledger.change("users")
    ledger.change("tasks", times=3)
    async with scene(ledger.script) as at, at.client.subscribe("tasks.*", after=0) as events:
        assert await sequences(events, 1) == [("tasks", 1)]
        publish(at.broker, forged(4, 5))
        ledger.change("tasks")
        at.bus.reconnect()
        assert await sequences(events, 1) == [("tasks", 2)]
        await asyncio.sleep(1)
        assert [event.record_id for event in await take(events, 2)] == [7, 7]
        assert await nothing_comes(events)
        assert events.positions == {"tasks": 4}
        assert (events._inbox._count, events._inbox._bytes) == (0, 0)


@in_virtual_time
async def test_what_was_forged_and_nobody_wanted_covers_nothing_up() -> None:
    ledger = Ledger()
    async with scene(ledger.script) as at, at.client.subscribe("tasks.deleted") as events:
        changed(at.broker, ledger, "tasks")
        publish(at.broker, forged(2, 3, 4))
        changed(at.broker, ledger, "tasks")
        (event,) = await take(events, 1)
        assert (event.sequence, event.record_id) == (2, 7)
        assert now() <= RESYNC_SECONDS


@in_virtual_time
async def test_what_was_forged_and_handed_out_ends_it() -> None:
    ledger = Ledger()
    async with scene(ledger.script) as at, at.client.subscribe("tasks.*") as events:
        changed(at.broker, ledger, "tasks", times=2)
        publish(at.broker, forged(3, 4))
        assert await sequences(events, 4) == [("tasks", n + 1) for n in range(4)]
        with pytest.raises(ConflictError, match="forged") as caught:
            await anext(events)
        assert caught.value.details == {"collection": "tasks", "position": 4, "last_sequence": 2}
        assert now() <= RESYNC_SECONDS


@in_virtual_time
async def test_any_routing_key_may_be_heard_while_it_is_entered() -> None:
    ledger = Ledger()
    ledger.change()
    async with scene(ledger.script) as at:

        def forge() -> None:
            ledger.after_reading = lambda: None
            changed(at.broker, ledger, "tasks")
            for n in range(1_000):
                publish(at.broker, b"junk", f"Not A Collection! {n}")
                publish(at.broker, b"junk", f"c{n}")

        ledger.after_reading = forge
        async with at.client.subscribe() as events:
            assert await sequences(events, 1) == [("tasks", 2)]
            assert events.positions == {"tasks": 2}
            assert [message.action for message in ledger.asked] == [
                "storage_positions",
                "storage_positions",
                "storage_events",
            ]
            assert now() == 0


@in_virtual_time
async def test_what_is_far_ahead_costs_no_more_than_itself() -> None:
    ledger = Ledger()
    async with scene(ledger.script) as at, at.client.subscribe("tasks.*") as events:
        changed(at.broker, ledger, "tasks")
        await take(events, 1)

        def forge() -> None:
            ledger.after_reading = lambda: None
            publish(at.broker, forged(2**50))

        ledger.after_reading = forge
        publish(at.broker, forged(2**40, 2**40 + 1))
        assert await nothing_comes(events, 5)
        assert ledger.fetches == 2
        asked = len(ledger.asked)
        for n in range(20):
            changed(at.broker, ledger, "tasks")
            assert await sequences(events, 1) == [("tasks", n + 2)]
            await asyncio.sleep(1)
        assert len(ledger.asked) - asked <= 1


@in_virtual_time
async def test_only_what_the_store_knows_is_followed() -> None:
    ledger = Ledger()
    async with scene(ledger.script) as at, at.client.subscribe() as events:
        for n in range(1_000):
            publish(at.broker, forged(1, collection=f"c{n}"))
            if n % 100 == 0:
                assert await nothing_comes(events, 0.1)
        publish(at.broker, b"junk", "Not A Collection!")
        changed(at.broker, ledger, "new", "newer")
        assert sorted(await sequences(events, 2)) == [("new", 1), ("newer", 1)]
        assert events.positions == {"new": 1, "newer": 1}
        assert now() < 4
        assert len(ledger.asked) - ledger.fetches <= 4
        assert ledger.fetches == 2
        changed(at.broker, ledger, "new")
        assert await sequences(events, 1) == [("new", 2)]
        assert ledger.fetches == 2
