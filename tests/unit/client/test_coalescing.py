"""Messages of the same moment travel as one AMQP message."""

import asyncio

import orjson

from tests.unit.client.responder import answering, responding
from tests.unit.client.scenes import scene
from tests.unit.client.virtualtime import in_virtual_time


@in_virtual_time
async def test_requests_of_one_moment_are_one_array_in_their_order() -> None:
    async with scene() as at:
        responses = await asyncio.gather(
            *[at.client.request("storage", f"action_{n}", {"n": n}) for n in range(10)]
        )
        (received,) = at.agent.received
        assert received.is_array
        assert received.delivery.routing_key == "storage.action_0"
        assert [message.payload["n"] for message in received.messages] == list(range(10))
        assert [response.result for response in responses] == [{"n": n} for n in range(10)]
        assert [response.in_reply_to for response in responses] == received.ids


@in_virtual_time
async def test_a_lone_request_is_a_single_object() -> None:
    async with scene() as at:
        await at.client.request("storage", "storage_get", {"task_id": 1})
        (received,) = at.agent.received
        assert not received.is_array
        assert received.delivery.routing_key == "storage.storage_get"


@in_virtual_time
async def test_requests_of_different_moments_travel_apart() -> None:
    async with scene() as at:
        for n in range(3):
            await at.client.request("storage", "x", {"n": n})
        assert at.agent.sizes == [1, 1, 1]


@in_virtual_time
async def test_a_full_body_leaves_and_the_next_one_begins() -> None:
    async with scene(max_batch=64) as at:
        responses = await asyncio.gather(
            *[at.client.request("storage", "x", {"n": n}) for n in range(150)]
        )
        assert at.agent.sizes == [64, 64, 22]
        assert [response.result for response in responses] == [{"n": n} for n in range(150)]
        correlations = {received.delivery.correlation_id for received in at.agent.received}
        assert len(correlations) == 3


@in_virtual_time
async def test_a_body_is_full_at_a_mebibyte_and_a_larger_message_travels_alone() -> None:
    async with scene() as at:
        sizes = [400_000, 400_000, 400_000, 2_000_000, 10]
        await asyncio.gather(
            *[at.client.request("storage", "x", {"text": "x" * size}) for size in sizes]
        )
        assert at.agent.sizes == [2, 1, 1, 1]
        assert all(len(received.delivery.body) < 2_100_000 for received in at.agent.received)


@in_virtual_time
async def test_each_recipient_has_its_own_bodies() -> None:
    async with scene() as at, responding(at.agent._bus, answering(), agent="data") as data:
        await asyncio.gather(
            *[at.client.request(name, "x") for name in ("storage", "data", "storage", "data")]
        )
        assert (at.agent.sizes, data.sizes) == ([2], [2])


@in_virtual_time
async def test_what_wants_no_reply_travels_apart_from_what_does() -> None:
    async with scene() as at:
        _, first, second = await asyncio.gather(
            at.client.request("storage", "asked"),
            at.client.send("storage", "told", {"n": 1}),
            at.client.send("storage", "told", {"n": 2}, message_id="given"),
        )
        await at.agent.has_received(2)
        asked, told = at.agent.received
        assert asked.delivery.reply_to is not None
        assert told.delivery.reply_to is None
        assert told.ids == [first, second]
        assert second == "given"


@in_virtual_time
async def test_a_request_cancelled_before_it_left_is_not_sent() -> None:
    async with scene() as at:
        tasks = [asyncio.create_task(at.client.request("storage", "x", {"n": n})) for n in range(3)]
        asyncio.get_running_loop().call_soon(tasks[1].cancel)
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(results[1], asyncio.CancelledError)
        (received,) = at.agent.received
        assert [message.payload["n"] for message in received.messages] == [0, 2]


@in_virtual_time
async def test_the_envelope_on_the_wire() -> None:
    async with scene() as at:
        await at.client.request(
            "storage",
            "storage_get",
            {"task_id": 1},
            message_id="m",
            correlation_id="c",
            causation_id="b",
            metadata={"k": [1, None]},
        )
        (received,) = at.agent.received
        assert orjson.loads(received.delivery.body) == {
            "action": "storage_get",
            "payload": {"task_id": 1},
            "id": "m",
            "sender": "tester",
            "recipient": "storage",
            "correlation_id": "c",
            "causation_id": "b",
            "metadata": {"k": [1, None]},
        }


@in_virtual_time
async def test_what_is_given_may_be_changed_after_the_call() -> None:
    async with scene() as at:
        payload = {"n": 1}
        asking = asyncio.create_task(at.client.request("storage", "x", payload))
        asyncio.get_running_loop().call_soon(payload.clear)
        response = await asking
        assert response.result == {"n": 1}
