"""A subscription misses nothing and repeats nothing, whatever is lost, doubled or delayed."""

import asyncio
import random

import orjson
import pytest

from holdfast_protocol import UnavailableError
from holdfast_protocol.client.following import MAX_WAITING_BYTES
from tests.unit.client.ledger import Ledger, changed, publish
from tests.unit.client.scenes import scene
from tests.unit.client.test_subscribing import nothing_comes, sequences, take
from tests.unit.client.virtualtime import in_virtual_time, now


@in_virtual_time
async def test_what_comes_twice_is_handed_out_once() -> None:
    ledger = Ledger()
    async with scene(ledger.script) as at, at.client.subscribe("tasks.*") as events:
        first, second = ledger.change(times=3), ledger.change(times=3)
        both = orjson.dumps([*orjson.loads(first), *orjson.loads(second)])
        for body in (first, first, second, first, both, second):
            publish(at.broker, body)
        assert await sequences(events, 6) == [("tasks", n + 1) for n in range(6)]
        assert await nothing_comes(events)
        assert ledger.fetches == 0


@in_virtual_time
async def test_a_batch_that_begins_earlier_continues_where_it_is_new() -> None:
    ledger = Ledger()
    async with scene(ledger.script) as at, at.client.subscribe("tasks.*") as events:
        first, second = ledger.change(times=3), ledger.change(times=3)
        publish(at.broker, first)
        publish(at.broker, orjson.dumps([*orjson.loads(first)[1:], *orjson.loads(second)]))
        assert await sequences(events, 6) == [("tasks", n + 1) for n in range(6)]
        assert ledger.fetches == 0


@in_virtual_time
async def test_a_gap_is_fetched_at_once_and_in_order() -> None:
    ledger = Ledger()
    async with scene(ledger.script) as at, at.client.subscribe("tasks.*") as events:
        changed(at.broker, ledger, "tasks")
        ledger.change(times=5)  # lost on the way
        changed(at.broker, ledger, "tasks", times=2)
        assert await sequences(events, 8) == [("tasks", n + 1) for n in range(8)]
        assert (ledger.fetches, now()) == (1, 0)


@in_virtual_time
async def test_numbers_may_jump() -> None:
    ledger = Ledger()
    async with scene(ledger.script) as at, at.client.subscribe("tasks.*") as events:
        for _ in range(3):
            publish(at.broker, ledger.change(jump=10))
        assert await sequences(events, 3) == [("tasks", 11), ("tasks", 22), ("tasks", 33)]
        ledger.change(jump=5)
        assert await sequences(events, 1) == [("tasks", 39)]
        assert await nothing_comes(events)


@in_virtual_time
async def test_what_is_pushed_while_a_page_is_fetched_goes_on_from_it() -> None:
    ledger = Ledger()
    async with scene(ledger.script) as at, at.client.subscribe("tasks.*") as events:
        ledger.change(times=5)
        ledger.after_reading = lambda: changed(at.broker, ledger, "tasks", times=3)
        changed(at.broker, ledger, "tasks")
        assert await sequences(events, 9) == [("tasks", n + 1) for n in range(9)]
        assert ledger.fetches == 1, "the push goes on without another fetch"


@in_virtual_time
async def test_a_gap_while_a_page_is_fetched_is_fetched_too() -> None:
    ledger = Ledger()
    async with scene(ledger.script) as at, at.client.subscribe("tasks.*") as events:

        def lose() -> None:
            ledger.after_reading = lambda: None
            changed(at.broker, ledger, "tasks")
            ledger.change(times=2)
            changed(at.broker, ledger, "tasks")

        ledger.change(times=5)
        ledger.after_reading = lose
        changed(at.broker, ledger, "tasks")
        assert await sequences(events, 10) == [("tasks", n + 1) for n in range(10)]
        assert await nothing_comes(events)


@in_virtual_time
async def test_what_had_no_room_while_a_page_was_fetched_is_fetched_at_once() -> None:
    ledger = Ledger()
    async with scene(ledger.script) as at, at.client.subscribe("tasks.*", max_waiting=4) as events:

        def push_more() -> None:
            ledger.after_reading = lambda: None
            changed(at.broker, ledger, "tasks", times=5)

        ledger.change(times=3)
        ledger.after_reading = push_more
        changed(at.broker, ledger, "tasks")
        assert await sequences(events, 9) == [("tasks", n + 1) for n in range(9)]
        assert now() == 0


@in_virtual_time
async def test_a_gap_that_opens_while_a_page_is_fetched_is_not_jumped_over() -> None:
    ledger = Ledger()
    async with scene(ledger.script) as at, at.client.subscribe("tasks.*") as events:

        def lose_one() -> None:
            ledger.after_reading = lambda: None
            ledger.change()
            changed(at.broker, ledger, "tasks", times=2)

        ledger.change(times=3)
        ledger.after_reading = lose_one
        changed(at.broker, ledger, "tasks")
        assert await sequences(events, 7) == [("tasks", n + 1) for n in range(7)]
        assert now() == 0


@in_virtual_time
async def test_numbers_that_were_never_used_are_passed_over() -> None:
    ledger = Ledger()
    async with scene(ledger.script) as at, at.client.subscribe("tasks.*") as events:
        ledger.change()
        changed(at.broker, ledger, "tasks")
        ledger.skip("tasks", 5)
        assert await sequences(events, 2) == [("tasks", 1), ("tasks", 2)]
        assert await nothing_comes(events)
        assert events.positions == {"tasks": 7}
        changed(at.broker, ledger, "tasks")
        assert await sequences(events, 1) == [("tasks", 8)]
        assert ledger.fetches == 2


@in_virtual_time
async def test_after_a_reconnect_what_was_missed_is_fetched() -> None:
    ledger = Ledger()
    async with scene(ledger.script) as at, at.client.subscribe() as events:
        changed(at.broker, ledger, "tasks", "users")
        at.bus.deaf = True
        changed(at.broker, ledger, "tasks", "users", "new", times=2)
        at.bus.reconnect()
        found = await sequences(events, 8)
        assert sorted(found) == sorted(
            [("new", 1), ("new", 2)] + [(c, n) for c in ("tasks", "users") for n in (1, 2, 3)]
        )
        assert now() == 0
        assert await nothing_comes(events)


@in_virtual_time
async def test_a_push_that_nobody_noticed_missing_is_looked_for() -> None:
    ledger = Ledger()
    async with (
        scene(ledger.script) as at,
        at.client.subscribe("tasks.*", resync_seconds=12) as events,
    ):
        ledger.change(times=3)
        assert await sequences(events, 3) == [("tasks", n + 1) for n in range(3)]
        assert now() == pytest.approx(12, abs=0.1)


@in_virtual_time
async def test_what_waits_is_bounded_and_the_rest_waits_in_the_store() -> None:
    ledger = Ledger()
    after = {"tasks": 0, "users": 0}
    async with (
        scene(ledger.script) as at,
        at.client.subscribe(after=after, max_waiting=10) as events,
    ):
        changed(at.broker, ledger, "tasks", "users", times=200)
        assert len(events._inbox._ready) == 10
        found = await sequences(events, 400)
        assert sorted(found) == sorted((c, n + 1) for c in ("tasks", "users") for n in range(200))
        for collection in ("tasks", "users"):
            numbers = [n for c, n in found if c == collection]
            assert numbers == sorted(numbers)
        changed(at.broker, ledger, "users")
        assert await sequences(events, 1) == [("users", 201)]
        assert (events._inbox._count, events._inbox._bytes) == (0, 0)


@in_virtual_time
async def test_a_batch_larger_than_all_the_room_comes_in_pieces() -> None:
    ledger = Ledger()
    async with scene(ledger.script) as at, at.client.subscribe("tasks.*", max_waiting=1) as events:
        publish(at.broker, ledger.change(times=20))
        assert await sequences(events, 20) == [("tasks", n + 1) for n in range(20)]


@in_virtual_time
async def test_bytes_are_bounded_too() -> None:
    ledger = Ledger(page=3)
    async with scene(ledger.script) as at, at.client.subscribe("tasks.*") as events:
        for _ in range(60):
            publish(at.broker, ledger.change(size=1_000_000))
        assert events._inbox._bytes <= MAX_WAITING_BYTES
        assert await sequences(events, 60) == [("tasks", n + 1) for n in range(60)]
        assert (events._inbox._count, events._inbox._bytes) == (0, 0)


@in_virtual_time
async def test_giving_up_a_wait_loses_nothing() -> None:
    ledger = Ledger()
    ledger.change(times=50)
    async with scene(ledger.script) as at, at.client.subscribe("tasks.*", after=0) as events:
        found: list[int] = []
        while len(found) < 60:
            try:
                async with asyncio.timeout(0):
                    found.append((await anext(events)).sequence)
            except TimeoutError:
                await asyncio.sleep(0)
                if len(found) > 20 and len(ledger.sequences("tasks")) < 60:
                    changed(at.broker, ledger, "tasks", times=10)
        assert found == [n + 1 for n in range(60)]


def forged(first: int, second: int, collection: str) -> bytes:
    """Two events that never happened."""
    (event,) = orjson.loads(Ledger().change(collection))
    return orjson.dumps([{**event, "sequence": first}, {**event, "sequence": second}])


@pytest.mark.parametrize("seed", range(40))
def test_any_mixture_of_losses_and_repetitions(seed: int) -> None:
    """Pushes are lost, doubled, delayed, forged; connections too; somebody reads now and then."""

    @in_virtual_time
    async def run() -> None:
        chance = random.Random(seed)
        ledger = Ledger(page=chance.choice([1, 3, 1_000]))
        kind = chance.choice(["*", "created", "deleted"])
        wanted = None if kind == "*" else kind
        collections = ["a", "b", "c"]
        found: dict[str, list[int]] = {name: [] for name in collections}
        async with scene(ledger.script, timeout=2) as at:

            def happen() -> None:
                name = chance.choice(collections)
                body = ledger.change(name, chance.randint(1, 4), jump=chance.choice([0, 0, 0, 2]))
                for _ in range(chance.choice([0, 1, 1, 1, 2])):
                    publish(at.broker, body)
                last = ledger.sequences(name)[-1]
                if chance.random() < 0.1:
                    publish(at.broker, forged(last + 1, chance.choice([1, last + 3, 2**60]), name))
                    publish(at.broker, forged(2**50, 2**50 + 1, chance.choice([name, "never"])))
                if chance.random() < 0.05:
                    at.bus.deaf = True
                elif chance.random() < 0.1:
                    at.bus.reconnect()

            def happen_often() -> None:
                for _ in range(chance.randint(0, 4)):
                    happen()

            ledger.before_answer = ledger.after_reading = happen_often
            events = at.client.subscribe(f"*.{kind}", after={}, max_waiting=chance.randint(1, 12))
            async with events:
                for _ in range(300):
                    happen()
                    if chance.random() < 0.02:
                        at.bus.faults = [UnavailableError("lost")] * chance.randint(1, 3)
                    if chance.random() < 0.5:
                        try:
                            async with asyncio.timeout(chance.choice([0, 0.01, 5])):
                                event = await anext(events)
                                found[event.collection].append(event.sequence)
                        except TimeoutError:
                            pass
                ledger.before_answer = ledger.after_reading = lambda: None
                total = sum(len(ledger.sequences(name, wanted)) for name in collections)
                missing = total - sum(len(numbers) for numbers in found.values())
                for event in await take(events, missing):
                    found[event.collection].append(event.sequence)
                assert await nothing_comes(events)
                assert found == {name: ledger.sequences(name, wanted) for name in collections}
                assert (events._inbox._count, events._inbox._bytes) == (0, 0)
                assert not events._inbox.is_behind

    run()
