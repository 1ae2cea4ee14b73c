"""Cancelling a request: what is announced, and how the request then ends."""

from typing import TypeAlias

import orjson
import pytest

from holdfast_protocol import (
    BusClosedError,
    CancelledRequestError,
    NotFoundError,
    ValidationError,
)
from holdfast_protocol.bus.messages import Broadcast
from holdfast_protocol.control import Cancel, parse_control
from tests.unit.client.responder import failing, giving
from tests.unit.client.scenes import Scene, scene
from tests.unit.client.virtualtime import in_virtual_time, now

Heard: TypeAlias = list[Broadcast]


async def listening(at: Scene, agent: str = "storage") -> Heard:
    heard: Heard = []
    await at.bus.listen("control", [f"{agent}.#"], heard.append)
    return heard


@in_virtual_time
async def test_every_process_of_the_agent_is_told() -> None:
    async with scene() as at:
        heard, other = await listening(at), await listening(at)
        assert await at.client.cancel("m-1") is True
        (told,) = heard
        assert other == heard
        assert told.routing_key == "storage.cancel"
        assert orjson.loads(told.body) == {
            "type": "cancel",
            "message_id": "m-1",
            "sender": "tester",
        }


@in_virtual_time
async def test_nobody_there() -> None:
    async with scene() as at:
        await listening(at, "other")
        assert await at.client.cancel("m-1") is False
        assert await at.client.cancel("m-1", agent="other") is True


@in_virtual_time
async def test_somebody_elses_request() -> None:
    async with scene(sender=None) as at:
        heard = await listening(at)
        await at.client.cancel("m-1", sender="planner")
        await at.client.cancel("m-2")
        assert [parse_control(told.body) for told in heard] == [
            Cancel("m-1", "planner"),
            Cancel("m-2", None),
        ]


@in_virtual_time
async def test_ids_and_senders_that_no_message_can_have() -> None:
    async with scene() as at:
        heard = await listening(at)
        for message_id in ("", "x" * 129, "a\0"):
            with pytest.raises(ValidationError, match="message_id"):
                await at.client.cancel(message_id)
        with pytest.raises(ValidationError, match="sender"):
            await at.client.cancel("m", sender="")
        assert heard == []
    with pytest.raises(BusClosedError):
        await at.client.cancel("m")


@in_virtual_time
async def test_a_cancelled_request_ends_with_an_error_of_its_own_and_is_not_sent_again() -> None:
    async with scene(failing("cancelled", {"message_id": "m"})) as at:
        with pytest.raises(CancelledRequestError) as caught:
            await at.client.storage.save({}, message_id="m")
        assert caught.value.details == {"message_id": "m"}
        assert not caught.value.retryable
        assert (at.agent.sizes, now()) == ([1], 0)


@in_virtual_time
async def test_a_cancellation_that_came_too_late_is_told_with_the_answer() -> None:
    async with scene(giving({"id": 1}, {"version": 1, "cancel": "too_late"})) as at:
        record = await at.client.storage.save({})
        assert record.meta["cancel"] == "too_late"
    async with scene(failing("not_found")) as at:
        with pytest.raises(NotFoundError):
            await at.client.storage.get(1)
