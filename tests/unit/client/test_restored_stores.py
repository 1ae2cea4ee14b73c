"""A store that has come less far than a subscriber: told, and nothing is lost in silence."""

from collections.abc import Mapping

import pytest

from holdfast_protocol import ConflictError
from holdfast_protocol.limits import MAX_INTEGER
from tests.unit.client.ledger import Ledger, changed
from tests.unit.client.scenes import scene
from tests.unit.client.test_subscribing import nothing_comes, sequences
from tests.unit.client.virtualtime import in_virtual_time, now


@pytest.mark.parametrize(
    ("pattern", "after", "told"),
    [
        ("tasks.*", 4, ("tasks", 4, 3)),
        ("tasks.created", MAX_INTEGER, ("tasks", MAX_INTEGER, 3)),
        ("gone.*", 1, ("gone", 1, 0)),
        ("#", {"tasks": 4}, ("tasks", 4, 3)),
        ("#", {"tasks": 3, "gone": 1}, ("gone", 1, 0)),
    ],
)
def test_to_begin_beyond_the_end(
    pattern: str, after: int | Mapping[str, int], told: tuple[str, int, int]
) -> None:
    @in_virtual_time
    async def run() -> None:
        ledger = Ledger()
        ledger.change(times=3)
        async with scene(ledger.script) as at:
            events = at.client.subscribe(pattern, after=after)
            with pytest.raises(ConflictError, match="restored") as caught:
                await anext(events)
            assert tuple(caught.value.details.values()) == told
            assert (now(), ledger.fetches) == (0, 0)
            async with at.client.subscribe("tasks.*", after=3) as again:
                changed(at.broker, ledger, "tasks")
                assert await sequences(again, 1) == [("tasks", 4)]

    run()


@pytest.mark.parametrize("last", [0, 3])
def test_a_store_that_is_restored_while_it_is_followed(last: int) -> None:
    @in_virtual_time
    async def run() -> None:
        ledger = Ledger()
        async with scene(ledger.script) as at, at.client.subscribe("#") as events:
            changed(at.broker, ledger, "tasks", "users", times=5)
            await sequences(events, 10)
            assert await nothing_comes(events)
            ledger.restore("tasks", last)
            at.bus.reconnect()
            with pytest.raises(ConflictError, match="restored") as caught:
                await anext(events)
            assert caught.value.details == {
                "collection": "tasks",
                "position": 5,
                "last_sequence": last,
            }

    run()


@in_virtual_time
async def test_a_store_that_begins_anew_is_noticed_by_what_it_pushes() -> None:
    ledger = Ledger()
    async with scene(ledger.script) as at, at.client.subscribe("tasks.*") as events:
        changed(at.broker, ledger, "tasks", times=5)
        await sequences(events, 5)
        began = now()
        ledger.restore("tasks", 0)
        changed(at.broker, ledger, "tasks")
        with pytest.raises(ConflictError, match="began anew"):
            await anext(events)
        assert now() - began <= 1.1


@in_virtual_time
async def test_a_page_tells_it_too() -> None:
    ledger = Ledger()
    async with scene(ledger.script) as at, at.client.subscribe("tasks.*") as events:
        changed(at.broker, ledger, "tasks", times=5)
        await sequences(events, 5)
        changed(at.broker, ledger, "tasks")
        ledger.change()
        changed(at.broker, ledger, "tasks")
        ledger.restore("tasks", 2)
        assert await sequences(events, 1) == [("tasks", 6)]
        with pytest.raises(ConflictError, match="restored"):
            await anext(events)
        assert now() == 0


@in_virtual_time
async def test_a_push_that_is_newer_than_the_comparison_is_none_of_it() -> None:
    ledger = Ledger()
    async with scene(ledger.script) as at, at.client.subscribe("tasks.*", after=0) as events:
        ledger.after_reading = lambda: changed(at.broker, ledger, "tasks")
        assert await sequences(events, 1) == [("tasks", 1)]
        ledger.after_reading = lambda: None
        changed(at.broker, ledger, "tasks")
        number = len(ledger.sequences("tasks"))
        assert await sequences(events, number - 1) == [("tasks", n) for n in range(2, number + 1)]
        assert await nothing_comes(events)
