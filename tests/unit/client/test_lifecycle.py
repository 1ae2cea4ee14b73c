"""Opening and leaving a client, and what it says when it is used wrongly."""

import asyncio
import gc
from collections.abc import Awaitable, Callable

import pytest

from holdfast_protocol import (
    AgentClient,
    BusClosedError,
    RequestTimeoutError,
    UnavailableError,
    ValidationError,
)
from holdfast_protocol.bus.contract import Publication
from holdfast_protocol.bus.memory import MemoryBus
from holdfast_protocol.bus.memory_broker import MemoryBroker
from tests.unit.client.responder import responding, silent
from tests.unit.client.scenes import FaultyBus, scene
from tests.unit.client.virtualtime import in_virtual_time, now


class HangingBus(FaultyBus):
    """Takes everything, and confirms nothing."""

    async def publish(self, publication: Publication) -> None:
        self.published.append(publication)
        await asyncio.Event().wait()


@in_virtual_time
async def test_a_url_is_all_it_needs() -> None:
    async with MemoryBus("here") as bus, responding(bus) as agent:
        async with AgentClient("memory://here") as client:
            assert (await client.request("storage", "x", {"n": 1})).result == {"n": 1}
            assert client.sender is None
        assert agent.received[0].messages[0].sender is None
        assert agent.received[0].delivery.reply_to is not None
        assert agent.received[0].delivery.reply_to.startswith("holdfast.reply.anonymous.")


@in_virtual_time
async def test_sender_and_namespace_are_taken() -> None:
    async with MemoryBus("there", namespace="mine") as bus, responding(bus) as agent:
        async with AgentClient("memory://there", "planner", namespace="mine") as client:
            await client.request("storage", "x")
        (received,) = agent.received
        assert received.messages[0].sender == "planner"
        assert (received.delivery.reply_to or "").startswith("mine.reply.planner.")


@pytest.mark.parametrize(
    "make",
    [
        lambda: AgentClient(),
        lambda: AgentClient("memory://", bus=MemoryBus()),
        lambda: AgentClient("http://localhost"),
        lambda: AgentClient("memory://", namespace="No Name"),
        lambda: AgentClient("memory://", sender=""),
        lambda: AgentClient("memory://", sender="x" * 129),
        lambda: AgentClient("memory://", timeout=0),
        lambda: AgentClient("memory://", timeout=float("inf")),
        lambda: AgentClient("memory://", timeout=float("nan")),
        lambda: AgentClient("memory://", max_batch=0),
        lambda: AgentClient("memory://", max_batch=1_001),
        lambda: AgentClient("memory://", max_pending=0),
        lambda: AgentClient("memory://", max_pending_bytes=0),
        lambda: AgentClient("memory://", max_message_bytes=17 * 1024 * 1024),
    ],
)
def test_wrong_arguments_are_told_where_they_were_written(
    make: Callable[[], AgentClient],
) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        make()


@in_virtual_time
async def test_a_client_that_is_not_open_says_so() -> None:
    client = AgentClient("memory://")
    with pytest.raises(BusClosedError, match="async with"):
        await client.request("storage", "x")
    with pytest.raises(BusClosedError, match="async with"):
        await client.storage.get(1)
    async with client:
        pass
    uses: list[Callable[[], Awaitable[object]]] = [
        lambda: client.request("storage", "x"),
        lambda: client.send("storage", "x"),
    ]
    for use in uses:
        with pytest.raises(BusClosedError, match="closed"):
            await use()


@in_virtual_time
async def test_a_client_is_entered_once() -> None:
    client = AgentClient("memory://")
    async with client:
        with pytest.raises(RuntimeError, match="once"):
            await client.__aenter__()
    with pytest.raises(RuntimeError, match="once"):
        await client.__aenter__()


@in_virtual_time
async def test_a_bus_that_was_given_stays_open() -> None:
    async with MemoryBus(broker=MemoryBroker()) as bus:
        async with AgentClient(bus=bus):
            pass
        assert bus.broker


@in_virtual_time
async def test_a_bus_that_is_not_open_is_told_on_entering() -> None:
    with pytest.raises(BusClosedError):
        await AgentClient(bus=MemoryBus()).__aenter__()


@in_virtual_time
async def test_leaving_ends_what_waits() -> None:
    async with scene(silent) as at:
        waiting = [asyncio.create_task(at.client.request("storage", "x")) for _ in range(3)]
        await at.agent.has_received(1)
        unsent = asyncio.create_task(at.client.request("storage", "x"))
        await asyncio.sleep(0)
        await at.client.__aexit__(None, None, None)
        for task in [*waiting, unsent]:
            with pytest.raises(BusClosedError, match="outcome is unknown") as caught:
                await task
            assert "message_id" in caught.value.details
        assert now() == 0


@in_virtual_time
async def test_leaving_cancels_a_publish_that_hangs() -> None:
    async with HangingBus(MemoryBroker()) as bus:
        client = AgentClient(bus=bus)
        async with client:
            waiting = asyncio.create_task(client.request("storage", "x"))
            for _ in range(3):
                await asyncio.sleep(0)
            assert client._opened._publishing
        with pytest.raises(BusClosedError):
            await waiting
        assert not client._opened._publishing


@in_virtual_time
async def test_a_publish_that_hangs_ends_in_the_timeout() -> None:
    async with HangingBus(MemoryBroker()) as bus, AgentClient(bus=bus, timeout=5) as client:
        with pytest.raises(RequestTimeoutError) as caught:
            await client.request("storage", "x")
        assert caught.value.details["attempts"] == 1
        assert now() == pytest.approx(5, abs=0.02)


@in_virtual_time
async def test_answers_after_leaving_harm_nobody() -> None:
    async with scene(silent) as at:
        waiting = asyncio.create_task(at.client.request("storage", "x"))
        await at.agent.has_received(1)
        await at.client.__aexit__(None, None, None)
        with pytest.raises(BusClosedError):
            await waiting
        received = at.agent.received[0]
        await at.agent.say(b'{"status":"success"}', to=received)


@in_virtual_time
async def test_an_idle_client_keeps_no_timer() -> None:
    async with scene() as at:
        await at.client.request("storage", "x")
        await asyncio.sleep(1)  # virtual
        assert at.client._opened._sweeper._timer is None


@in_virtual_time
async def test_a_cancelled_request_leaves_nothing_behind() -> None:
    async with scene(silent) as at:
        waiting = asyncio.create_task(at.client.request("storage", "x"))
        await at.agent.has_received(1)
        waiting.cancel()
        await asyncio.wait([waiting])
        del waiting  # its traceback holds the message
        assert not at.client._opened._pending
        gc.collect()
        assert not at.client._opened._pending._shipments


async def test_a_broker_that_cannot_be_reached_is_unavailable() -> None:
    with pytest.raises(UnavailableError):
        await AgentClient("amqp://guest:guest@127.0.0.1:1/", timeout=0.1).__aenter__()


@in_virtual_time
async def test_what_cannot_be_encoded_is_refused_before_it_is_sent() -> None:
    async with scene() as at:
        for payload in ({"a": {1, 2}}, {"a": float("nan")}, {"a": "\ud800"}, {"a": 2**64}):
            with pytest.raises(ValidationError):
                await at.client.request("storage", "x", payload)
        assert not at.bus.published
        assert not at.client._opened._pending
