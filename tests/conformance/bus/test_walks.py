"""Walking through the dead letters: what a walk meets, removes, sends again and gives back."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from holdfast_protocol.bus.contract import Bus, DeadLetter, Delivery, Publication
from holdfast_protocol.errors import BusClosedError, NoRouteError
from tests.conformance.bus.harness import Harness, has_nothing_more, soon, take
from tests.conformance.bus.rabbitmq.tools import until


async def bury(bus: Bus, *bodies: bytes, routing_key: str = "storage.x") -> None:
    """Dead letters of these bodies, in this order."""
    for body in bodies:
        await bus.dead_letter(
            Delivery(body, routing_key, tag=None), reason="r", error="e", agent="storage"
        )


def bodies(letters: list[DeadLetter]) -> list[bytes]:
    return [letter.body for letter in letters]


async def inhabit(bus: Bus) -> None:
    """Make the namespace one that is in use: a broker has no dead letters of any other."""
    await (await bus.consume("storage")).cancel()


async def count(bus: Bus) -> int:
    async with bus.dead_letters() as walk:
        return walk.total


async def test_a_letter_says_what_when_why_and_by_whom(bus: Bus) -> None:
    before = datetime.now(UTC)
    delivery = Delivery(
        b"\xffbody",
        "storage.storage_save",
        tag=None,
        reply_to="r",
        correlation_id="c",
        message_id="m",
        headers={"x-tenant": "acme"},
        attempts=3,
    )
    await bus.dead_letter(delivery, reason="internal_error", error="no!", agent="storage")
    async with bus.dead_letters() as walk:
        assert walk.total == 1
        (letter,) = await walk.take(10)
        assert (letter.id, letter.body) == ("m", b"\xffbody")
        assert letter.routing_key == "storage.storage_save"
        assert (letter.reason, letter.error, letter.agent) == ("internal_error", "no!", "storage")
        assert letter.at is not None
        assert timedelta(seconds=-1) < letter.at - before < timedelta(seconds=15)
        assert letter.attempts == 3
        assert (letter.reply_to, letter.correlation_id) == ("r", "c")
        assert letter.headers["x-tenant"] == "acme"


async def test_there_may_be_none(bus: Bus) -> None:
    await inhabit(bus)
    async with bus.dead_letters() as walk:
        assert walk.total == 0
        assert await walk.take(10) == []
        await walk.remove([])


async def test_they_come_in_order_a_few_at_a_time_and_then_none(bus: Bus) -> None:
    await bury(bus, b"1", b"2", b"3")
    async with bus.dead_letters() as walk:
        assert walk.total == 3
        assert bodies(await walk.take(2)) == [b"1", b"2"]
        assert bodies(await walk.take(2)) == [b"3"]
        assert await walk.take(2) == []


async def test_one_that_comes_during_the_walk_is_for_the_next(bus: Bus) -> None:
    await bury(bus, b"1")
    async with bus.dead_letters() as walk:
        await bury(bus, b"2")
        assert bodies(await walk.take(10)) == [b"1"]
        assert await walk.take(10) == []


async def test_what_is_not_removed_is_given_back_and_what_is_removed_is_gone(bus: Bus) -> None:
    await bury(bus, b"1", b"2", b"3")
    async with bus.dead_letters() as walk:
        letters = await walk.take(10)
        await walk.remove(letters[1:2])
        await walk.remove(letters[1:2])
    await until(lambda: _counts(bus, 2))
    async with bus.dead_letters() as walk:
        assert bodies(await walk.take(10)) == [b"1", b"3"]


async def test_two_walks_at_the_same_time_meet_other_letters(harness: Harness, bus: Bus) -> None:
    await bury(bus, b"1", b"2", b"3", b"4")
    async with harness.bus() as other, bus.dead_letters() as first, other.dead_letters() as second:
        mine = await first.take(2)
        others = await second.take(10)
        assert sorted(bodies(mine) + bodies(others)) == [b"1", b"2", b"3", b"4"]
        await second.remove(mine)  # not its own
        assert bodies(await first.take(10)) == []
        await second.remove(others)
        assert second.total == 4
    await until(lambda: _counts(bus, 2))


async def test_a_walk_takes_some_megabytes_at_once_but_always_one(bus: Bus) -> None:
    large = [bytes([number]) * (9 << 20) for number in range(3)]
    await bury(bus, *large)
    async with bus.dead_letters() as walk:
        assert bodies(await walk.take(10)) == large[:2]
        assert bodies(await walk.take(10)) == large[2:]


async def test_an_error_in_the_walk_gives_everything_back(bus: Bus) -> None:
    await bury(bus, b"1")
    with pytest.raises(LookupError):
        async with bus.dead_letters() as walk:
            await walk.take(1)
            raise LookupError
    await until(lambda: _counts(bus, 1))


async def test_a_walk_that_is_over_takes_and_removes_nothing(bus: Bus) -> None:
    await bury(bus, b"1")
    async with bus.dead_letters() as walk:
        letters = await walk.take(1)
    for use in (walk.take(1), walk.remove(letters)):
        with pytest.raises(BusClosedError):
            await use
    await until(lambda: _counts(bus, 1))


async def test_closing_the_bus_ends_its_walks(harness: Harness, bus: Bus) -> None:
    await bury(bus, b"1")
    async with harness.bus() as other:
        walk = other.dead_letters()
        letters = await walk.__aenter__()
        assert len(await letters.take(1)) == 1
    with pytest.raises(BusClosedError):
        await letters.take(1)
    await walk.__aexit__(None, None, None)
    await until(lambda: _counts(bus, 1))


async def test_a_limit_below_one_is_refused(bus: Bus) -> None:
    await inhabit(bus)
    async with bus.dead_letters() as walk:
        with pytest.raises(ValueError, match="limit"):
            await walk.take(0)


async def test_a_bus_that_is_not_open_walks_nowhere(harness: Harness) -> None:
    with pytest.raises(BusClosedError):
        async with harness.bus().dead_letters():
            pass


async def test_namespaces_have_dead_letters_of_their_own(harness: Harness, bus: Bus) -> None:
    await bury(bus, b"1")
    async with harness.bus(namespace="elsewhere") as other:
        await inhabit(other)
        assert await count(other) == 0


async def test_a_message_without_an_id_has_a_steady_one_as_a_letter(bus: Bus) -> None:
    await bury(bus, b"1")
    ids = set()
    for _ in range(2):
        await until(lambda: _counts(bus, 1))
        async with bus.dead_letters() as walk:
            (letter,) = await walk.take(1)
            ids.add(letter.id)
    assert len(ids) == 1
    assert ids != {""}


async def test_what_expired_in_the_queue_is_there_with_its_route(bus: Bus) -> None:
    consumer = await bus.consume("storage", prefetch=1)
    await bus.publish(Publication("storage.x", b"blocks"))
    await take(consumer, 1)
    before = datetime.now(UTC)
    await bus.publish(Publication("storage.save.now", b"late", "c", "r", expiration_seconds=0.01))
    await until(lambda: _counts(bus, 1))
    async with bus.dead_letters() as walk:
        (letter,) = await walk.take(1)
    assert (letter.body, letter.routing_key) == (b"late", "storage.save.now")
    assert (letter.reason, letter.error, letter.agent) == ("expired", "", "storage")
    assert (letter.correlation_id, letter.reply_to) == ("c", "r")
    assert letter.attempts == 1
    assert letter.at is not None
    assert timedelta(seconds=-2) < letter.at - before < timedelta(seconds=15)


async def test_sending_again_goes_by_the_original_route_and_counts_on(bus: Bus) -> None:
    consumer = await bus.consume("storage")
    delivery = Delivery(
        b"body",
        "storage.storage_save",
        tag=None,
        reply_to="r",
        correlation_id="c",
        message_id="m",
        headers={"x-tenant": "acme", "x-holdfast-attempts": "forged"},
        attempts=2,
    )
    await bus.dead_letter(delivery, reason="r", error="e", agent="storage")
    async with bus.dead_letters() as walk:
        letters = await walk.take(1)
        await bus.resend(letters[0])
        await walk.remove(letters)
    (again,) = await take(consumer, 1)
    assert (again.body, again.routing_key) == (b"body", "storage.storage_save")
    assert (again.reply_to, again.correlation_id, again.message_id) == ("r", "c", "m")
    assert set(again.headers) == {"x-tenant", "x-holdfast-attempts"}
    assert again.attempts == 3
    assert not again.redelivered
    await bus.dead_letter(again, reason="r", error="e", agent="storage")
    await consumer.ack([again])
    async with bus.dead_letters() as walk:
        (letter,) = await walk.take(1)
        assert (letter.id, letter.attempts) == ("m", 3)
    assert await has_nothing_more(bus, consumer, "storage")


async def test_sending_again_does_not_remove(bus: Bus) -> None:
    consumer = await bus.consume("storage")
    await bury(bus, b"1")
    async with bus.dead_letters() as walk:
        (letter,) = await walk.take(1)
        await soon(asyncio.gather(*(bus.resend(letter) for _ in range(5))))
    assert bodies_of(await take(consumer, 5)) == [b"1"] * 5
    await until(lambda: _counts(bus, 1))


async def test_sending_to_nobody_is_no_route(bus: Bus) -> None:
    await bury(bus, b"1", routing_key="nobody.x")
    async with bus.dead_letters() as walk:
        (letter,) = await walk.take(1)
        with pytest.raises(NoRouteError):
            await soon(bus.resend(letter))


async def test_a_delivery_that_comes_again_counts_its_attempts(bus: Bus) -> None:
    consumer = await bus.consume("storage", prefetch=1)
    await bus.publish(Publication("storage.x", b"x"))
    (delivery,) = await take(consumer, 1)
    for attempt in range(1, 3):
        assert delivery.attempts == attempt
        await consumer.requeue([delivery])
        (delivery,) = await take(consumer, 1)
    await bus.dead_letter(delivery, reason="r", error="e", agent="storage")
    async with bus.dead_letters() as walk:
        (letter,) = await walk.take(1)
        assert letter.attempts == 3


def bodies_of(deliveries: list[Delivery]) -> list[bytes]:
    return [delivery.body for delivery in deliveries]


async def _counts(bus: Bus, expected: int) -> bool:
    return await count(bus) == expected
