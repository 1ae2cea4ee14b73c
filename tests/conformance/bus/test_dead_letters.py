"""Dead letters: what is kept, what is added, and what a sender cannot forge."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from holdfast_protocol.bus.contract import Bus, Delivery, Publication
from holdfast_protocol.bus.deadletters import dead_letter_from
from holdfast_protocol.errors import ValidationError
from tests.conformance.bus.harness import Harness, take


async def test_a_dead_letter_keeps_the_message_and_says_why(harness: Harness, bus: Bus) -> None:
    consumer = await bus.consume("storage")
    await bus.publish(Publication("storage.bad", b"\xffbody", correlation_id="c", reply_to="r"))
    (delivery,) = await take(consumer, 1)
    before = datetime.now(UTC)
    await bus.dead_letter(delivery, reason="forbidden_reply_to", error="no!", agent="storage")
    (letter,) = await harness.dead_letters(1)
    assert letter.body == b"\xffbody"
    assert (letter.correlation_id, letter.reply_to) == ("c", "r")
    assert letter.message_id == delivery.message_id
    assert letter.headers["x-holdfast-reason"] == "forbidden_reply_to"
    assert letter.headers["x-holdfast-error"] == "no!"
    assert letter.headers["x-holdfast-agent"] == "storage"
    assert letter.headers["x-holdfast-routing-key"] == "storage.bad"
    at = letter.headers["x-holdfast-at"]
    assert at.endswith("Z")
    assert timedelta(seconds=-1) < datetime.fromisoformat(at) - before < timedelta(seconds=15)


async def test_it_does_not_settle_the_delivery(harness: Harness, bus: Bus) -> None:
    async with harness.bus() as other:
        consumer = await other.consume("storage")
        await bus.publish(Publication("storage.x", b"x"))
        (delivery,) = await take(consumer, 1)
        await other.dead_letter(delivery, reason="r", error="e", agent="storage")
    (again,) = await take(await bus.consume("storage"), 1)
    assert again.body == b"x"


async def test_headers_of_the_sender_are_kept_but_for_the_forgeable(
    harness: Harness, bus: Bus
) -> None:
    headers = {
        "traceparent": "00-ab-cd-01",
        "x-tenant": "acme",
        "x-death": "[]",
        "X-Death": "[]",
        "x-first-death-reason": "rejected",
        "x-last-death-queue": "q",
        "x-holdfast-reason": "forged",
        "X-Holdfast-Other": "forged",
        "x-delivery-count": "7",
        "CC": "holdfast.agent.other",
        "BCC": "holdfast.agent.other",
    }
    await bus.dead_letter(_delivery(headers=headers), reason="r", error="e", agent="storage")
    (letter,) = await harness.dead_letters(1)
    ours = {"reason", "error", "agent", "at", "routing-key", "attempts"}
    assert set(letter.headers) == {"traceparent", "x-tenant"} | {f"x-holdfast-{n}" for n in ours}
    assert letter.headers["x-holdfast-reason"] == "r"
    assert letter.headers["traceparent"] == "00-ab-cd-01"


async def test_long_and_strange_texts_are_cut_to_what_amqp_carries(
    harness: Harness, bus: Bus
) -> None:
    delivery = _delivery(
        routing_key="k" * 300,
        reply_to="r" * 256,
        correlation_id="\ud800",
        message_id="ü" * 128,
        headers={f"h{number}": "x" * 10_000 for number in range(100)},
    )
    await bus.dead_letter(delivery, reason="r" * 999, error="é" * 5000, agent="\udfff")
    (letter,) = await harness.dead_letters(1)
    assert letter.body == b"x"
    assert letter.headers["x-holdfast-error"] == "é" * 1000
    assert letter.headers["x-holdfast-agent"] == "?"
    assert sum(map(len, letter.headers.values())) < 32 * 1024


async def test_dead_letters_of_the_same_message_are_all_kept(harness: Harness, bus: Bus) -> None:
    delivery = _delivery(message_id="same")
    await asyncio.gather(
        *(bus.dead_letter(delivery, reason=str(n), error="", agent="storage") for n in range(20))
    )
    letters = await harness.dead_letters(20)
    assert {letter.headers["x-holdfast-reason"] for letter in letters} == {
        str(number) for number in range(20)
    }


@pytest.mark.parametrize("routing_key", ["storage." + "a" * 300, "storage.\ud800"])
async def test_a_letter_whose_way_no_message_can_go_is_refused(bus: Bus, routing_key: str) -> None:
    consumer = await bus.consume("storage")
    await bus.dead_letter(_delivery(), reason="r", error="e", agent="storage")
    async with bus.dead_letters() as walk:
        (letter,) = await walk.take(1)
        with pytest.raises(ValidationError, match="routing_key is not text of at most 255"):
            await bus.resend(replace(letter, routing_key=routing_key))
        await bus.resend(letter)
    (delivery,) = await take(consumer, 1)
    assert delivery.body == b"x"


@pytest.mark.parametrize(
    ("told", "taken"),
    [
        ("storage.x", "storage.x"),
        ("k" * 255, "k" * 255),
        ("k" * 256, ""),
        ("ü" * 128, ""),
        ("\ud800", ""),
    ],
)
def test_a_routing_key_that_a_header_tells_is_one_that_a_message_can_have(
    told: str, taken: str
) -> None:
    letter = dead_letter_from(
        body=b"x",
        routing_key="",
        message_id=None,
        reply_to=None,
        correlation_id=None,
        headers={"x-holdfast-routing-key": told},
        death=None,
        tag=None,
    )
    assert letter.routing_key == taken


def _delivery(
    *,
    routing_key: str = "storage.x",
    reply_to: str | None = None,
    correlation_id: str | None = None,
    message_id: str | None = None,
    headers: dict[str, str] | None = None,
) -> Delivery:
    return Delivery(
        b"x",
        routing_key,
        tag=None,
        reply_to=reply_to,
        correlation_id=correlation_id,
        message_id=message_id,
        headers=headers or {},
    )
