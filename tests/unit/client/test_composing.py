"""Arguments become a message with its moments, or a typed error that names the place."""

import asyncio
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

import pytest

from holdfast_protocol import RequestTimeoutError, ValidationError
from holdfast_protocol.client.composing import CallOptions
from holdfast_protocol.times import utc_now
from tests.unit.client.responder import silent
from tests.unit.client.scenes import scene
from tests.unit.client.virtualtime import in_virtual_time, now


@pytest.mark.parametrize(
    ("recipient", "action", "options", "place"),
    [
        ("Not An Agent", "x", {}, "recipient"),
        ("a.b", "x", {}, "recipient"),
        ("", "x", {}, "recipient"),
        (None, "x", {}, "recipient"),
        ("storage", "Not An Action", {}, "action"),
        ("storage", None, {}, "action"),
        ("storage", "x", {"message_id": ""}, "id"),
        ("storage", "x", {"message_id": "m" * 129}, "id"),
        ("storage", "x", {"correlation_id": "c" * 129}, "correlation_id"),
        ("storage", "x", {"deadline": datetime(2030, 1, 1)}, "deadline"),  # noqa: DTZ001
        ("storage", "x", {"deadline": float("nan")}, "deadline"),
        ("storage", "x", {"deadline": 1e300}, "deadline"),
        ("storage", "x", {"timeout": 0}, "timeout"),
        ("storage", "x", {"timeout": -1}, "timeout"),
        ("storage", "x", {"timeout": float("inf")}, "timeout"),
    ],
)
def test_a_wrong_argument_is_named(
    recipient: str, action: str, options: CallOptions, place: str
) -> None:
    @in_virtual_time
    async def run() -> None:
        async with scene() as at:
            with pytest.raises(ValidationError, match=place) as caught:
                await at.client.request(recipient, action, **options)
            errors = caught.value.details["errors"]
            assert isinstance(errors, list)
            assert [error["loc"] for error in errors if isinstance(error, dict)] == [[place]]
            assert not at.bus.published

    run()


@pytest.mark.parametrize("deadline", [90, 90.0, timedelta(seconds=90)])
def test_a_deadline_may_be_seconds_from_now(deadline: float | timedelta) -> None:
    @in_virtual_time
    async def run() -> None:
        async with scene() as at:
            before = utc_now()
            await at.client.request("storage", "x", deadline=deadline)
            given = at.agent.received[0].messages[0].deadline
            assert given is not None
            assert before <= given - timedelta(seconds=90) <= utc_now()
            (expiration,) = [p.expiration_seconds for p in at.bus.published]
            assert expiration == pytest.approx(91, abs=1)

    run()


@in_virtual_time
async def test_a_deadline_may_be_a_moment() -> None:
    async with scene() as at:
        moment = datetime(2999, 1, 2, 3, 4, 5, tzinfo=UTC)
        await at.client.request("storage", "x", deadline=moment)
        assert at.agent.received[0].messages[0].deadline == moment


@in_virtual_time
async def test_without_a_deadline_nothing_expires() -> None:
    async with scene() as at:
        await at.client.request("storage", "x")
        assert [p.expiration_seconds for p in at.bus.published] == [None]


@in_virtual_time
async def test_what_travels_together_expires_with_the_last() -> None:
    async with scene() as at:
        client = at.client
        await asyncio.gather(
            *[client.send("storage", "x", deadline=seconds) for seconds in (10, 50, 20)]
        )
        await asyncio.gather(client.send("storage", "x", deadline=10), client.send("storage", "x"))
        first, second = at.bus.published
        assert first.expiration_seconds == pytest.approx(51, abs=1)
        assert second.expiration_seconds is None


@in_virtual_time
async def test_what_is_past_its_deadline_can_still_be_answered_expired() -> None:
    async with scene() as at:
        await at.client.request("storage", "x", deadline=-100)
        assert at.bus.published[0].expiration_seconds == 1


@in_virtual_time
async def test_nobody_waits_long_past_a_deadline() -> None:
    async with scene(silent) as at:
        with pytest.raises(RequestTimeoutError):
            await at.client.request("storage", "x", deadline=3)
        assert now() == pytest.approx(4, abs=0.1)


@in_virtual_time
async def test_a_payload_may_be_any_mapping() -> None:
    async with scene() as at:
        response = await at.client.request("storage", "x", MappingProxyType({"n": 1}))
        assert response.result == {"n": 1}


@in_virtual_time
async def test_ids_are_fresh_and_ascending() -> None:
    async with scene() as at:
        ids = [await at.client.send("storage", "x") for _ in range(5)]
        assert ids == sorted(set(ids))
