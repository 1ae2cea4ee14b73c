"""Every answer finds the request it belongs to, and nothing else."""

import asyncio
from collections.abc import Sequence

import orjson
import pytest

from holdfast_protocol import AgentClient, AgentResponse
from holdfast_protocol.bus.memory_broker import MemoryBroker
from holdfast_protocol.codec import encode_replies
from holdfast_protocol.replies import Reply
from tests.unit.client.responder import Received, answering, echo, failing, silent
from tests.unit.client.scenes import scene
from tests.unit.client.virtualtime import in_virtual_time, now


def _in_pieces_backwards(received: Received) -> Sequence[bytes]:
    return [encode_replies([echo(m)], as_array=True) for m in reversed(received.messages)]


def _twice(received: Received) -> Sequence[bytes]:
    return [received.answered(echo)] * 2


def _refusal(in_reply_to: str | None, error_type: str = "too_large") -> bytes:
    refusal = Reply("error", "storage", in_reply_to, error="Too much", error_type=error_type)
    return encode_replies([refusal], as_array=False)


def _refusing(_: Received) -> Sequence[bytes]:
    return [_refusal(None)]


async def _ask(client: AgentClient, count: int) -> list[AgentResponse]:
    return await asyncio.gather(
        *[client.request("storage", "x", {"n": n}, correlation_id=f"c{n}") for n in range(count)]
    )


@in_virtual_time
async def test_answers_may_come_in_any_order_and_in_several_arrays() -> None:
    async with scene(_in_pieces_backwards) as at:
        responses = await _ask(at.client, 20)
        assert [response.result for response in responses] == [{"n": n} for n in range(20)]


@in_virtual_time
async def test_an_answered_error_is_returned() -> None:
    async with scene(failing("not_found", {"a": 1})) as at:
        response = await at.client.request("storage", "x")
        assert (response.ok, response.error_type, response.details) == (
            False,
            "not_found",
            {"a": 1},
        )


@in_virtual_time
async def test_a_second_answer_is_ignored_and_counted() -> None:
    async with scene(_twice, answering()) as at:
        responses = await _ask(at.client, 3)
        assert all(response.ok for response in responses)
        await at.client.request("storage", "x")
        assert at.client.counters.unmatched == 3


@in_virtual_time
async def test_a_second_answer_that_is_a_lone_error_harms_nobody() -> None:
    error = failing("not_found")
    async with scene(lambda r: [*error(r), *error(r)], silent, answering()) as at:
        await at.client.request("storage", "x")
        assert at.client.counters.unmatched == 1


@in_virtual_time
async def test_an_answer_to_nobody_is_ignored() -> None:
    forged = encode_replies([Reply("success", "storage", "unknown")], as_array=False)
    async with scene(lambda received: [forged, received.answered(echo)]) as at:
        assert (await at.client.request("storage", "x", {"n": 1})).result == {"n": 1}
        assert at.client.counters.unmatched == 1


@pytest.mark.parametrize(
    "body", [b"", b"not json", b"[1]", b'{"status":"maybe"}', b"\xff", b"null", b"[" * 2000]
)
def test_a_malformed_answer_is_logged_and_ignored(
    body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    @in_virtual_time
    async def run() -> None:
        async with scene(lambda received: [body, received.answered(echo)]) as at:
            assert (await at.client.request("storage", "x")).ok
            assert at.client.counters.malformed == 1

    run()
    (record,) = [record for record in caplog.records if record.name == "holdfast.client"]
    assert record.levelname == "WARNING"


@in_virtual_time
async def test_a_refusal_of_the_whole_body_answers_each_of_its_requests() -> None:
    async with scene(_refusing) as at:
        responses = await _ask(at.client, 3)
        assert [response.error_type for response in responses] == ["too_large"] * 3
        assert [response.in_reply_to for response in responses] == at.agent.received[0].ids
        assert [response.correlation_id for response in responses] == ["c0", "c1", "c2"]
        assert (now(), at.client.counters.unmatched) == (0, 0)


@in_virtual_time
async def test_a_refusal_may_name_the_amqp_message_id() -> None:
    async with scene(lambda received: [_refusal(received.delivery.message_id)]) as at:
        alone = await at.client.request("storage", "x")
        together = await _ask(at.client, 2)
        assert {response.error_type for response in [alone, *together]} == {"too_large"}


@in_virtual_time
async def test_a_refusal_of_one_body_leaves_the_others_alone() -> None:
    async with scene(_refusing, answering(), max_batch=2) as at:
        responses = await _ask(at.client, 4)
        assert [response.ok for response in responses] == [False, False, True, True]


@in_virtual_time
async def test_a_refusal_of_a_whole_body_that_may_pass_is_retried() -> None:
    async with scene(lambda _: [_refusal(None, "overloaded")], answering()) as at:
        responses = await _ask(at.client, 3)
        assert all(response.ok for response in responses)
        assert at.agent.received[0].ids == at.agent.received[1].ids


@in_virtual_time
async def test_the_same_id_at_the_same_time_is_answered_twice() -> None:
    async with scene() as at:
        first, second = await asyncio.gather(
            *[at.client.request("storage", "x", {"n": 1}, message_id="same") for _ in range(2)]
        )
        assert first.in_reply_to == second.in_reply_to == "same"
        assert first.id != second.id
        assert at.agent.sizes == [1, 1]


@in_virtual_time
async def test_an_id_is_free_again_when_its_request_was_cancelled() -> None:
    async with scene(silent, answering()) as at:
        waiting = asyncio.create_task(at.client.request("storage", "x", message_id="same"))
        await at.agent.has_received(1)
        waiting.cancel()
        response = await at.client.request("storage", "x", message_id="same")
        assert (response.in_reply_to, now()) == ("same", 0)


@in_virtual_time
async def test_a_late_answer_reaches_a_later_request_of_the_same_id() -> None:
    async with scene(silent, timeout=1, retry=False) as at:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await at.client.request("storage", "x", {"n": 1}, message_id="same")
        again = asyncio.create_task(at.client.request("storage", "x", {"n": 1}, message_id="same"))
        await at.agent.has_received(2)
        await at.agent.say(at.agent.received[0].answered(echo), to=at.agent.received[0])
        assert (await again).result == {"n": 1}


@in_virtual_time
async def test_nothing_stays_behind() -> None:
    async with scene(_twice) as at:
        await _ask(at.client, 100)
        pending = at.client._opened._pending
        assert not pending._items
        assert not pending._shipments


def test_unknown_fields_of_a_later_agent_are_forgiven() -> None:
    def newer(received: Received) -> Sequence[bytes]:
        answer = orjson.loads(received.answered(echo))
        return [orjson.dumps({**answer, "shard": 7})]

    @in_virtual_time
    async def run() -> None:
        async with scene(newer) as at:
            assert (await at.client.request("storage", "x")).ok

    run()


@in_virtual_time
async def test_two_clients_on_one_broker_get_their_own_answers() -> None:
    async with scene() as at:
        assert isinstance(at.broker, MemoryBroker)
        async with AgentClient(bus=at.bus, sender="other") as other:
            mine, theirs = await asyncio.gather(_ask(at.client, 5), _ask(other, 5))
        assert [response.result for response in mine] == [response.result for response in theirs]
        senders = [{m.sender for m in received.messages} for received in at.agent.received]
        assert senders == [{"tester"}, {"other"}]
