"""A client on RabbitMQ outlives its connections."""

import asyncio
from contextlib import suppress

import pytest

from holdfast_protocol import AgentClient, Subscription
from holdfast_protocol.bus.contract import Announcement
from holdfast_protocol.bus.rabbitmq.bus import RabbitBus
from holdfast_protocol.errors import UnavailableError
from tests.conformance.bus.harness import soon
from tests.conformance.bus.rabbitmq.tools import close_connections
from tests.services import BrokerApi
from tests.unit.client.ledger import Ledger
from tests.unit.client.responder import answering, responding, silent

pytestmark = pytest.mark.amqp

# Its first interval without an answer is longer than any test waits: only the reconnect
# makes the client send again.
LONG = 600.0


async def test_a_url_is_all_it_needs(fresh_amqp_url: str) -> None:
    async with (
        RabbitBus(fresh_amqp_url) as bus,
        responding(bus),
        AgentClient(fresh_amqp_url, sender="planner") as client,
    ):
        assert (await soon(client.request("storage", "x", {"n": 1}))).result == {"n": 1}


async def test_after_a_reconnect_what_waits_is_sent_again_under_its_id(
    fresh_amqp_url: str, rabbitmq_api: BrokerApi
) -> None:
    async with RabbitBus(fresh_amqp_url) as bus, responding(bus, silent, answering()) as agent:
        async with AgentClient(fresh_amqp_url, sender="planner", timeout=LONG) as client:
            waiting = asyncio.gather(*[client.request("storage", "x", {"n": n}) for n in range(5)])
            await soon(agent.has_received(1))
            await close_connections(rabbitmq_api, fresh_amqp_url, expected=4)
            responses = await soon(waiting)
            assert [response.result for response in responses] == [{"n": n} for n in range(5)]
            assert client.counters.resent >= 5
        assert {tuple(received.ids) for received in agent.received} == {
            tuple(agent.received[0].ids)
        }


async def test_load_goes_on_through_lost_connections(
    fresh_amqp_url: str, rabbitmq_api: BrokerApi
) -> None:
    """Every request gets its own answer, and no error, while the broker cuts connections."""
    async with (
        RabbitBus(fresh_amqp_url) as bus,
        responding(bus) as agent,
        AgentClient(fresh_amqp_url, sender="planner", timeout=LONG) as client,
    ):
        stop = asyncio.Event()
        answered: list[str] = []

        async def ask(worker: int) -> None:
            n = 0
            while not stop.is_set():
                n += 1
                response = await client.request("storage", "x", {"w": worker, "n": n})
                assert response.result == {"w": worker, "n": n}
                answered.append(response.in_reply_to or "")

        asking = [asyncio.create_task(ask(worker)) for worker in range(50)]
        for _ in range(3):
            await close_connections(rabbitmq_api, fresh_amqp_url, expected=4)
        stop.set()
        await soon(asyncio.gather(*asking))
        assert len(set(answered)) == len(answered) > 50
        seen = {message_id for received in agent.received for message_id in received.ids}
        assert set(answered) <= seen


async def test_a_subscription_misses_nothing_through_lost_connections(
    fresh_amqp_url: str, rabbitmq_api: BrokerApi
) -> None:
    """What is changed while the connections are down is fetched; each event comes once."""
    ledger = Ledger()
    stop = asyncio.Event()
    final = 0

    async def change(bus: RabbitBus) -> None:
        while not stop.is_set():
            body = ledger.change(times=2)
            with suppress(UnavailableError):  # the batch is lost to who only listens
                await bus.announce([Announcement("changes", "tasks", body)])

    async def follow(events: Subscription) -> list[int]:
        found: list[int] = []
        async for event in events:
            found.append(event.sequence)
            if event.sequence == final:
                break
        return found

    async with (
        RabbitBus(fresh_amqp_url) as bus,
        responding(bus, ledger.script),
        AgentClient(fresh_amqp_url, sender="planner") as client,
        client.subscribe("tasks.*", after=0) as events,
    ):
        changing = asyncio.create_task(change(bus))
        following = asyncio.create_task(follow(events))
        for _ in range(3):
            await close_connections(rabbitmq_api, fresh_amqp_url, expected=4)
        stop.set()
        await soon(changing)
        final = len(ledger.sequences("tasks")) + 1
        await soon(bus.announce([Announcement("changes", "tasks", ledger.change())]))
        assert await soon(following) == list(range(1, final + 1))
