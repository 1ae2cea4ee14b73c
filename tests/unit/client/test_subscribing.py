"""A subscription's events: from where, of what, in which order."""

import asyncio
from collections.abc import Mapping

import pytest

from holdfast_protocol import BusClosedError, ChangeEvent, Subscription, ValidationError
from tests.unit.client.ledger import Ledger, changed, publish
from tests.unit.client.scenes import scene
from tests.unit.client.virtualtime import in_virtual_time, now


async def take(events: Subscription, count: int) -> list[ChangeEvent]:
    """The next events; there must be that many."""
    return [await asyncio.wait_for(anext(events), 300) for _ in range(count)]


async def sequences(events: Subscription, count: int) -> list[tuple[str, int]]:
    return [(event.collection, event.sequence) for event in await take(events, count)]


async def nothing_comes(events: Subscription, seconds: float = 100) -> bool:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(anext(events), seconds)
    return True


@in_virtual_time
async def test_from_the_entering_on() -> None:
    ledger = Ledger()
    async with scene(ledger.script) as at:
        changed(at.broker, ledger, "tasks", times=5)
        async with at.client.subscribe("tasks.*") as events:
            changed(at.broker, ledger, "tasks")
            (event,) = await take(events, 1)
            assert isinstance(event, ChangeEvent)
            assert (event.id, event.kind, event.sequence) == ("tasks/6", "created", 6)
            assert (event.message_id, event.sender, event.record_id) == ("m", None, 7)
            assert event.document == {"id": 7, "text": ""}
            assert ledger.fetches == 0
            assert now() == 0


@in_virtual_time
async def test_what_is_pushed_while_it_is_entered_is_not_lost() -> None:
    ledger = Ledger()
    ledger.change("tasks", 3)
    async with scene(ledger.script) as at:
        ledger.before_answer = lambda: changed(at.broker, ledger, "tasks")
        ledger.after_reading = lambda: changed(at.broker, ledger, "tasks", "users")
        async with at.client.subscribe() as events:
            ledger.before_answer = ledger.after_reading = lambda: None
            assert sorted(await sequences(events, 2)) == [("tasks", 5), ("users", 1)]
            assert now() == 0


@in_virtual_time
async def test_after_a_sequence_the_store_is_asked_first_and_then_the_push_goes_on() -> None:
    ledger = Ledger()
    ledger.change("tasks", 20)
    async with scene(ledger.script) as at, at.client.subscribe("tasks.*", after=17) as events:
        assert await sequences(events, 3) == [("tasks", n) for n in (18, 19, 20)]
        changed(at.broker, ledger, "tasks", times=2)
        assert await sequences(events, 2) == [("tasks", 21), ("tasks", 22)]
        assert ledger.fetches == 1


@in_virtual_time
async def test_a_long_past_comes_page_by_page() -> None:
    ledger = Ledger()
    ledger.change("tasks", 2_500)
    async with scene(ledger.script) as at, at.client.subscribe("tasks.#", after=0) as events:
        assert await sequences(events, 2_500) == [("tasks", n + 1) for n in range(2_500)]
        assert ledger.fetches == 3


@in_virtual_time
async def test_a_page_that_is_shorter_than_asked_for_is_not_the_end() -> None:
    ledger = Ledger(page=7)
    ledger.change("tasks", 20)
    async with scene(ledger.script) as at, at.client.subscribe("tasks.*", after=0) as events:
        assert await sequences(events, 20) == [("tasks", n + 1) for n in range(20)]


@in_virtual_time
async def test_only_the_kinds_that_are_wanted() -> None:
    ledger = Ledger()
    ledger.change("tasks", 6)
    async with scene(ledger.script) as at, at.client.subscribe("tasks.created", after=0) as events:
        assert await sequences(events, 2) == [("tasks", 3), ("tasks", 6)]
        changed(at.broker, ledger, "tasks", times=5)
        assert await sequences(events, 1) == [("tasks", 9)]
        assert events.positions == {"tasks": 11}, "what is not wanted is passed over"


@in_virtual_time
async def test_several_collections_also_those_that_appear_later() -> None:
    ledger = Ledger()
    ledger.change("tasks", 4)
    async with scene(ledger.script) as at, at.client.subscribe("*.*") as events:
        changed(at.broker, ledger, "users", "tasks", "users", "a-b")
        assert sorted(await sequences(events, 4)) == [
            ("a-b", 1),
            ("tasks", 5),
            ("users", 1),
            ("users", 2),
        ]
        assert events.positions == {"tasks": 5, "users": 2, "a-b": 1}
        assert ledger.fetches == 2, "once for each new collection"
        changed(at.broker, ledger, "users", "a-b")
        assert await sequences(events, 2) == [("users", 3), ("a-b", 2)]
        assert (ledger.fetches, now()) == (2, 0)


@in_virtual_time
async def test_one_kind_of_all_collections() -> None:
    ledger = Ledger()
    async with scene(ledger.script) as at, at.client.subscribe("*.deleted") as events:
        changed(at.broker, ledger, "tasks", "users", times=3)
        assert await sequences(events, 2) == [("tasks", 2), ("users", 2)]


@in_virtual_time
async def test_other_collections_are_not_even_heard() -> None:
    ledger = Ledger()
    async with scene(ledger.script) as at, at.client.subscribe("tasks.*") as events:
        changed(at.broker, ledger, "users", "tasks")
        assert await sequences(events, 1) == [("tasks", 1)]
        assert events.positions == {"tasks": 1}


@pytest.mark.parametrize("after", [{"tasks": 2}, {"tasks": 2, "new": 0}])
def test_a_mapping_begins_what_it_does_not_name_at_the_first_event(
    after: Mapping[str, int],
) -> None:
    @in_virtual_time
    async def run() -> None:
        ledger = Ledger()
        ledger.change("tasks", 3)
        ledger.change("users", 2)
        async with scene(ledger.script) as at, at.client.subscribe(after=after) as events:
            found = await sequences(events, 3)
            assert sorted(found) == [("tasks", 3), ("users", 1), ("users", 2)]
            assert events.positions == {**after, "tasks": 3, "users": 2}

    run()


@in_virtual_time
async def test_a_mapping_for_one_collection() -> None:
    ledger = Ledger()
    ledger.change("tasks", 3)
    async with scene(ledger.script) as at:
        async with at.client.subscribe("tasks.*", after={"tasks": 1, "users": 1}) as events:
            assert await sequences(events, 2) == [("tasks", 2), ("tasks", 3)]
            assert events.positions == {"tasks": 3}
        async with at.client.subscribe("tasks.*", after={}) as events:
            assert await sequences(events, 1) == [("tasks", 1)]


@in_virtual_time
async def test_positions_are_where_to_go_on() -> None:
    ledger = Ledger()
    async with scene(ledger.script) as at:
        found: list[tuple[str, int]] = []
        async with at.client.subscribe(after={}) as events:
            changed(at.broker, ledger, "tasks", "users", times=10)
            found += await sequences(events, 13)
            positions = dict(events.positions)
        async with at.client.subscribe(after=positions) as events:
            found += await sequences(events, 7)
            assert await nothing_comes(events)
        assert sorted(found) == [(c, n + 1) for c in ("tasks", "users") for n in range(10)]


@in_virtual_time
async def test_without_a_context_it_opens_itself() -> None:
    ledger = Ledger()
    ledger.change("tasks", 3)
    async with scene(ledger.script) as at:
        found: list[int] = []
        subscription = at.client.subscribe("tasks.*", after=0)
        async for event in subscription:
            found.append(event.sequence)
            if event.sequence == 3:
                break
        assert found == [1, 2, 3]


@in_virtual_time
async def test_closing_ends_the_iteration_of_who_waits() -> None:
    ledger = Ledger()
    async with scene(ledger.script) as at:
        subscription = at.client.subscribe("tasks.*")

        async def collect() -> list[int]:
            return [event.sequence async for event in subscription]

        collecting = asyncio.create_task(collect())
        await asyncio.sleep(1)
        changed(at.broker, ledger, "tasks")
        await asyncio.sleep(1)
        await subscription.aclose()
        await subscription.aclose()
        assert await collecting == [1]
        with pytest.raises(StopAsyncIteration):
            await anext(subscription)
        assert not publish(at.broker, ledger.change()), "nobody listens any more"


@in_virtual_time
async def test_leaving_the_client_ends_it_with_an_error() -> None:
    ledger = Ledger()
    async with scene(ledger.script) as at:
        events = at.client.subscribe("tasks.*")
        await events.__aenter__()
        changed(at.broker, ledger, "tasks")
        waiting = asyncio.create_task(take(events, 2))
        await asyncio.sleep(1)
        await at.client.__aexit__(None, None, None)
        with pytest.raises(BusClosedError):
            await waiting
        with pytest.raises(StopAsyncIteration):
            await anext(events)


@in_virtual_time
async def test_it_is_opened_once_and_by_an_open_client() -> None:
    ledger = Ledger()
    async with scene(ledger.script) as at:
        events = at.client.subscribe()
        async with events:
            with pytest.raises(RuntimeError, match="once"):
                await events.__aenter__()
        with pytest.raises(RuntimeError, match="once"):
            await events.__aenter__()
    with pytest.raises(BusClosedError):
        at.client.subscribe()
        await at.client.subscribe().__aenter__()


@in_virtual_time
async def test_what_cannot_be_subscribed_to() -> None:
    async with scene() as at:
        for pattern in ("tasks", "", "Tasks.*", "tasks.changed"):
            with pytest.raises(ValidationError, match="pattern"):
                at.client.subscribe(pattern)
        for pattern, after in (("#", 5), ("tasks.*", -1), ("tasks.*", True), ("#", {"a": 2**63})):
            with pytest.raises(ValidationError, match="after"):
                at.client.subscribe(pattern, after=after)
        with pytest.raises(ValueError, match="max_waiting"):
            at.client.subscribe(max_waiting=0)
        for seconds in (0.0, -1.0, float("inf"), float("nan")):
            with pytest.raises(ValueError, match="resync_seconds"):
                at.client.subscribe(resync_seconds=seconds)


@in_virtual_time
async def test_an_empty_batch_means_nothing() -> None:
    ledger = Ledger()
    async with scene(ledger.script) as at, at.client.subscribe("tasks.*") as events:
        publish(at.broker, b"[]", "tasks")
        changed(at.broker, ledger, "tasks")
        assert await sequences(events, 1) == [("tasks", 1)]
        assert ledger.fetches == 0
