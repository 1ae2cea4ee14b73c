"""A client behaves alike over every bus."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from holdfast_protocol import (
    AgentClient,
    BusClosedError,
    NoRouteError,
    RequestTimeoutError,
    TooLargeError,
)
from holdfast_protocol.codec import encode_replies
from holdfast_protocol.replies import Reply
from tests.conformance.bus.harness import Harness, soon
from tests.unit.client.responder import (
    Received,
    Responder,
    Script,
    answering,
    echo,
    failing,
    responding,
    silent,
)


@asynccontextmanager
async def talking(
    harness: Harness, *scripts: Script, timeout: float = 30.0, max_pending: int = 10_000
) -> AsyncIterator[tuple[AgentClient, Responder]]:
    """A client and a scripted agent, each on a bus of its own."""
    async with harness.bus() as agent_bus, harness.bus() as bus:
        client = AgentClient(bus=bus, sender="tester", timeout=timeout, max_pending=max_pending)
        async with responding(agent_bus, *scripts) as agent, client:
            yield client, agent


async def test_requests_of_one_moment_travel_together_and_find_their_answers(
    harness: Harness,
) -> None:
    async with talking(harness) as (client, agent):
        responses = await soon(
            asyncio.gather(*[client.request("storage", "x", {"n": n}) for n in range(200)])
        )
        assert [response.result for response in responses] == [{"n": n} for n in range(200)]
        assert sorted(agent.sizes) == [8, 64, 64, 64]
        assert all(received.delivery.reply_to for received in agent.received)


async def test_a_lone_request_is_a_single_object(harness: Harness) -> None:
    async with talking(harness) as (client, agent):
        response = await soon(client.request("storage", "storage_get", {"task_id": "ü"}))
        assert response.result == {"task_id": "ü"}
        (received,) = agent.received
        assert (received.is_array, received.delivery.routing_key) == (
            False,
            "storage.storage_get",
        )


async def test_what_wants_no_reply_arrives(harness: Harness) -> None:
    async with talking(harness) as (client, agent):
        message_id = await soon(client.send("storage", "x", {"n": 1}))
        await soon(agent.has_received(1))
        (received,) = agent.received
        assert (received.ids, received.delivery.reply_to) == ([message_id], None)


async def test_nobody_bound(harness: Harness) -> None:
    async with talking(harness) as (client, _):
        for asked in (client.request, client.send):
            with pytest.raises(NoRouteError):
                await soon(asked("nobody", "x"))
        assert (await soon(client.request("storage", "x"))).ok


async def test_odd_answers_harm_nobody(harness: Harness) -> None:
    def odd(received: Received) -> Sequence[bytes]:
        forged = encode_replies([Reply("success", "storage", "unknown")], as_array=False)
        answer = received.answered(echo)
        return [b"", b"not json", forged, answer, answer]

    async with talking(harness, odd) as (client, _):
        first = await soon(
            asyncio.gather(*[client.request("storage", "x", {"n": n}) for n in range(3)])
        )
        assert [response.result for response in first] == [{"n": n} for n in range(3)]
        assert (await soon(client.request("storage", "x", {"n": 9}))).result == {"n": 9}
        assert client.counters.malformed >= 2


async def test_answers_in_pieces_backwards(harness: Harness) -> None:
    def pieces(received: Received) -> Sequence[bytes]:
        return [encode_replies([echo(m)], as_array=True) for m in reversed(received.messages)]

    async with talking(harness, pieces) as (client, _):
        responses = await soon(
            asyncio.gather(*[client.request("storage", "x", {"n": n}) for n in range(20)])
        )
        assert [response.result for response in responses] == [{"n": n} for n in range(20)]


async def test_a_refusal_of_the_whole_body_answers_all_its_requests(harness: Harness) -> None:
    def refuse(received: Received) -> Sequence[bytes]:
        refusal = Reply(
            "error",
            "storage",
            received.delivery.message_id,
            error="Too much",
            error_type="too_large",
        )
        return [encode_replies([refusal], as_array=False)]

    async with talking(harness, refuse) as (client, agent):
        responses = await soon(asyncio.gather(*[client.request("storage", "x") for _ in range(3)]))
        assert [response.error_type for response in responses] == ["too_large"] * 3
        assert [response.in_reply_to for response in responses] == agent.received[0].ids


async def test_without_an_answer_the_same_bytes_come_again(harness: Harness) -> None:
    async with talking(harness, silent, answering(), timeout=2) as (client, agent):
        response = await soon(client.request("storage", "x", {"n": 1}, message_id="m"))
        assert response.in_reply_to == "m"
        first, second = agent.received
        assert first.delivery.body == second.delivery.body
        assert first.delivery.correlation_id != second.delivery.correlation_id


async def test_an_error_that_may_pass_is_retried(harness: Harness) -> None:
    async with talking(harness, failing("unavailable"), answering()) as (client, agent):
        responses = await soon(asyncio.gather(*[client.request("storage", "x") for _ in range(20)]))
        assert all(response.ok for response in responses)
        assert agent.sizes == [20, 20]


async def test_a_timeout_names_the_message(harness: Harness) -> None:
    async with talking(harness, silent) as (client, _):
        with pytest.raises(RequestTimeoutError) as caught:
            await soon(client.request("storage", "x", message_id="m", timeout=0.2))
        assert caught.value.details["message_id"] == "m"


async def test_a_cancelled_request_takes_no_other_with_it(harness: Harness) -> None:
    hold: list[Received] = []

    def held(received: Received) -> Sequence[bytes]:
        hold.append(received)
        return []

    async with talking(harness, held) as (client, agent):
        tasks = [asyncio.create_task(client.request("storage", "x", {"n": n})) for n in range(3)]
        await soon(agent.has_received(1))
        tasks[1].cancel()
        await agent.say(hold[0].answered(echo), to=hold[0])
        first, second, third = await soon(asyncio.gather(*tasks, return_exceptions=True))
        assert isinstance(second, asyncio.CancelledError)
        assert [getattr(one, "result", None) for one in (first, third)] == [{"n": 0}, {"n": 2}]


async def test_leaving_ends_what_waits(harness: Harness) -> None:
    async with talking(harness, silent) as (client, agent):
        waiting = [asyncio.create_task(client.request("storage", "x")) for _ in range(3)]
        await soon(agent.has_received(1))
        await soon(client.__aexit__(None, None, None))
        results = await soon(asyncio.gather(*waiting, return_exceptions=True))
        assert [type(result) for result in results] == [BusClosedError] * 3


async def test_more_than_may_be_under_way_waits_its_turn(harness: Harness) -> None:
    async with talking(harness, max_pending=7) as (client, agent):
        responses = await soon(
            asyncio.gather(*[client.request("storage", "x", {"n": n}) for n in range(50)])
        )
        assert [response.result for response in responses] == [{"n": n} for n in range(50)]
        assert max(agent.sizes) <= 7


async def test_large_messages_pass_up_to_the_limit(harness: Harness) -> None:
    async with talking(harness) as (client, agent):
        text = "x" * (15 * 1024 * 1024)
        await soon(client.send("storage", "x", {"t": text}))
        await soon(agent.has_received(1))
        assert agent.received[0].messages[0].payload == {"t": text}
        with pytest.raises(TooLargeError):
            await client.send("storage", "x", {"t": text + "x" * (1024 * 1024)})


async def test_many_at_once_each_get_their_own_answer(harness: Harness) -> None:
    async with talking(harness) as (client, agent):

        async def ask_often(worker: int) -> None:
            for n in range(20):
                response = await client.request("storage", "x", {"w": worker, "n": n})
                assert response.result == {"w": worker, "n": n}

        await soon(asyncio.gather(*[ask_often(worker) for worker in range(200)]))
        assert sum(agent.sizes) == 4_000
        assert len(agent.received) < 400, "most of them travelled together"
