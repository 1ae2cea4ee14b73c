"""What a subscription outlives, and what ends it."""

import logging

import orjson
import pytest

from holdfast_protocol import (
    ForbiddenError,
    InternalError,
    NoRouteError,
    NotFoundError,
    UnavailableError,
)
from tests.unit.client.ledger import Ledger, changed, publish
from tests.unit.client.responder import answering, failing, giving
from tests.unit.client.scenes import scene
from tests.unit.client.test_subscribing import nothing_comes, sequences
from tests.unit.client.virtualtime import in_virtual_time, now


@in_virtual_time
async def test_what_was_pruned_is_told_with_where_one_can_begin() -> None:
    ledger = Ledger()
    ledger.change(times=10)
    ledger.prune("tasks", before=6)
    async with scene(ledger.script) as at:
        events = at.client.subscribe("tasks.*", after=2)
        with pytest.raises(NotFoundError, match="were pruned") as caught:
            await anext(events)
        assert caught.value.details == {"first_sequence": 6, "collection": "tasks"}
        with pytest.raises(StopAsyncIteration):
            await anext(events)
        async with at.client.subscribe("tasks.*", after=5) as again:
            assert await sequences(again, 5) == [("tasks", n) for n in range(6, 11)]


@in_virtual_time
async def test_an_error_comes_after_the_events_before_it() -> None:
    ledger = Ledger()
    async with scene(ledger.script) as at, at.client.subscribe() as events:
        changed(at.broker, ledger, "users", times=3)
        ledger.change("tasks", 5)
        ledger.prune("tasks", before=4)
        publish(at.broker, ledger.change("tasks"))
        assert await sequences(events, 3) == [("users", n + 1) for n in range(3)]
        with pytest.raises(NotFoundError):
            await anext(events)


@in_virtual_time
async def test_it_outlives_an_agent_that_is_away(caplog: pytest.LogCaptureFixture) -> None:
    ledger = Ledger()
    ledger.change(times=3)
    scripts = [failing("unavailable")] * 40 + [ledger.script]
    async with scene(*scripts, timeout=2) as at:
        with caplog.at_level(logging.WARNING, "holdfast.client"):
            async with at.client.subscribe("tasks.*", after=0) as events:
                assert await sequences(events, 3) == [("tasks", n + 1) for n in range(3)]
        assert now() > 10
        assert len([r for r in caplog.records if "waits for storage" in r.message]) == 1


@in_virtual_time
async def test_it_outlives_an_unbound_agent_and_an_absent_broker() -> None:
    ledger = Ledger()
    ledger.change(times=3)
    async with scene(ledger.script, timeout=2) as at:
        faults: list[Exception] = [NoRouteError("nobody"), UnavailableError("no broker")]
        at.bus.faults = [*faults * 5]
        async with at.client.subscribe("tasks.*", after=0) as events:
            assert await sequences(events, 3) == [("tasks", n + 1) for n in range(3)]


@in_virtual_time
async def test_entering_from_now_on_needs_the_agent() -> None:
    async with scene() as at:
        events = at.client.subscribe(agent="nobody")
        with pytest.raises(NoRouteError):
            await events.__aenter__()
        assert not publish(at.broker, Ledger().change()), "nothing listens behind it"
        with pytest.raises(StopAsyncIteration):
            await anext(events)


@in_virtual_time
async def test_an_error_that_no_retry_mends_is_raised() -> None:
    async with scene(failing("forbidden")) as at:
        with pytest.raises(ForbiddenError):
            await anext(at.client.subscribe("tasks.*", after=0))


@pytest.mark.parametrize("answer", [giving(None), giving([1]), giving([{"collection": "a"}])])
def test_an_agent_that_breaks_the_contract_is_noticed(answer: object) -> None:
    @in_virtual_time
    async def run() -> None:
        async with scene(answer) as at:  # type: ignore[arg-type]
            with pytest.raises(InternalError):
                await anext(at.client.subscribe("tasks.*", after=0))

    run()


@in_virtual_time
async def test_an_agent_that_repeats_itself_is_noticed() -> None:
    ledger = Ledger()
    ledger.change(times=3)
    page = orjson.loads(ledger.change())
    ledger.change()

    def answer(message: object) -> object:
        reply = ledger.answer(message)  # type: ignore[arg-type]
        return reply._replace(result=page) if "last_sequence" in reply.meta else reply

    async with scene(answering(answer)) as at:  # type: ignore[arg-type]
        events = at.client.subscribe("tasks.*", after=0)
        assert await sequences(events, 1) == [("tasks", 4)]
        with pytest.raises(InternalError):
            await anext(events)


@in_virtual_time
async def test_forged_and_broken_batches_harm_nobody() -> None:
    ledger = Ledger()
    async with scene(ledger.script) as at, at.client.subscribe() as events:
        changed(at.broker, ledger, "tasks")
        (event,) = orjson.loads(Ledger().change())
        forged = [
            b"",
            b"{",
            b"null",
            b"[1]",
            orjson.dumps([{**event, "sequence": 2**62}]),
            orjson.dumps([{**event, "collection": "users"}]),
            orjson.dumps([{**event, "sequence": "9"}]),
        ]
        for body in forged:
            publish(at.broker, body, "tasks")
            publish(at.broker, body, "never")
        assert await sequences(events, 1) == [("tasks", 1)]
        changed(at.broker, ledger, "tasks", "users")
        assert sorted(await sequences(events, 2)) == [("tasks", 2), ("users", 1)]
        assert ledger.fetches < 20
        assert await nothing_comes(events)
