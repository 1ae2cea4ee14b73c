"""Replies: addresses, correlation, and addresses where nobody listens any more."""

import asyncio
import logging
import re

import pytest

from holdfast_protocol.bus.checks import MAX_BODY_BYTES
from holdfast_protocol.bus.contract import Bus, Publication, ReplyDelivery
from holdfast_protocol.errors import TooLargeError, ValidationError
from tests.conformance.bus.harness import Harness, Replies, soon, take


async def test_a_reply_arrives_at_its_address_with_its_correlation(bus: Bus) -> None:
    replies = Replies()
    address = await bus.open_reply_address("me", replies)
    assert await bus.reply(address.address, b"answer", "c-1") is True
    assert await replies.next() == ReplyDelivery(b"answer", "c-1")
    assert await bus.reply(address.address, b"", None) is True
    assert await replies.next() == ReplyDelivery(b"", None)


async def test_request_and_reply_make_the_round(harness: Harness, bus: Bus) -> None:
    replies = Replies()
    address = await bus.open_reply_address("me", replies)
    async with harness.bus() as agent:
        consumer = await agent.consume("storage")
        await bus.publish(
            Publication("storage.x", b"?", correlation_id="c", reply_to=address.address)
        )
        (request,) = await take(consumer, 1)
        assert request.reply_to is not None
        assert await agent.reply(request.reply_to, b"!", request.correlation_id)
    assert await replies.next() == ReplyDelivery(b"!", "c")


async def test_an_address_names_namespace_and_sender_and_is_unique(bus: Bus) -> None:
    first = await bus.open_reply_address("planner-7", Replies())
    second = await bus.open_reply_address("planner-7", Replies())
    pattern = rf"{bus.namespace}\.reply\.planner-7\.[0-9a-f]+"
    assert re.fullmatch(pattern, first.address)
    assert first.address != second.address
    assert first.generation == second.generation == 1


@pytest.mark.parametrize("sender", ["ä/ö *.#", "", "x" * 1000, "\ud800"])
async def test_any_sender_makes_an_address(bus: Bus, sender: str) -> None:
    replies = Replies()
    address = await bus.open_reply_address(sender, replies)
    assert re.fullmatch(r"[a-z0-9]+\.reply\.[A-Za-z0-9_-]*\.[0-9a-f]+", address.address)
    assert await bus.reply(address.address, b"x", None) is True
    assert (await replies.next()).body == b"x"


async def test_each_address_gets_its_own_replies(bus: Bus) -> None:
    mine, yours = Replies(), Replies()
    my_address = await bus.open_reply_address("me", mine)
    your_address = await bus.open_reply_address("you", yours)
    await bus.reply(your_address.address, b"yours", "c")
    await bus.reply(my_address.address, b"mine", "c")
    assert (await mine.next()).body == b"mine"
    assert (await yours.next()).body == b"yours"


async def test_replies_arrive_in_order_and_all(bus: Bus) -> None:
    replies = Replies()
    address = await bus.open_reply_address("me", replies)
    for number in range(300):
        assert await bus.reply(address.address, str(number).encode(), None)
    assert [int((await replies.next()).body) for _ in range(300)] == list(range(300))


async def test_thousands_of_replies_at_once_all_arrive(bus: Bus) -> None:
    replies = Replies()
    address = await bus.open_reply_address("me", replies)
    await soon(
        asyncio.gather(
            *(bus.reply(address.address, str(number).encode(), None) for number in range(2500))
        )
    )
    assert {int((await replies.next()).body) for _ in range(2500)} == set(range(2500))


async def test_a_reply_to_nobody_says_so(bus: Bus) -> None:
    assert await soon(bus.reply(f"{bus.namespace}.reply.gone.0", b"x", "c")) is False
    assert await soon(bus.reply("", b"x", "c")) is False
    assert await soon(bus.reply("x" * 256, b"x", "c")) is False


async def test_a_closed_bus_listens_no_more(harness: Harness, bus: Bus) -> None:
    async with harness.bus() as other:
        address = (await other.open_reply_address("me", Replies())).address
        assert await bus.reply(address, b"x", None) is True
    assert await soon(bus.reply(address, b"x", None)) is False


async def test_a_callback_that_fails_is_logged_and_the_next_reply_arrives(
    bus: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    arrived: asyncio.Queue[bytes] = asyncio.Queue()

    def on_reply(reply: ReplyDelivery) -> None:
        arrived.put_nowait(reply.body)
        if reply.body == b"bad":
            raise LookupError("a defect of the client")

    address = await bus.open_reply_address("me", on_reply)
    with caplog.at_level(logging.ERROR, "holdfast.bus"):
        assert await bus.reply(address.address, b"bad", None) is True
        assert await bus.reply(address.address, b"good", None) is True
        assert [await soon(arrived.get()), await soon(arrived.get())] == [b"bad", b"good"]
    assert "a defect of the client" in caplog.text


async def test_what_amqp_cannot_carry_is_refused(bus: Bus) -> None:
    replies = Replies()
    address = (await bus.open_reply_address("me", replies)).address
    with pytest.raises(ValidationError):
        await bus.reply(address, b"x", "c" * 256)
    with pytest.raises(TooLargeError):
        await bus.reply(address, bytes(MAX_BODY_BYTES + 1), "c")
    assert await bus.reply(address, b"x", "c" * 255) is True
