"""Looking at dead letters often: under a delivery limit the broker drops what it delivered too
often, so that a walk has to give such letters back as copies."""

import asyncio
from dataclasses import replace
from typing import Any

import aio_pika
import pytest

from holdfast_protocol.bus.contract import Bus, DeadLetter, Delivery, Publication
from holdfast_protocol.bus.rabbitmq.bus import RabbitBus
from tests.conformance.bus.rabbitmq.tools import call, until, vhost_of
from tests.services import BrokerApi

pytestmark = pytest.mark.amqp

LIMIT = 20
WALKS = 50
DUE = 10  # times that a letter goes back before a copy does


async def limit_deliveries(api: BrokerApi, url: str) -> None:
    policy = {"pattern": ".*", "definition": {"delivery-limit": LIMIT}, "apply-to": "queues"}
    await call(api, "PUT", "policies", vhost_of(url), "limit", body=policy)


async def bury(bus: Bus, count: int, size: int = 10) -> None:
    deliveries = (
        Delivery(b"%d" % n + bytes(size), "a.x", tag=None, message_id=f"m{n}") for n in range(count)
    )
    await asyncio.gather(
        *(bus.dead_letter(one, reason="r", error="e", agent="a") for one in deliveries)
    )


async def look(bus: Bus, expected: int, at_once: int = 1000) -> list[DeadLetter]:
    """What a walk meets that removes nothing, once so many are there."""
    await until(lambda: _counts(bus, expected))
    async with bus.dead_letters() as walk:
        met: list[DeadLetter] = []
        while letters := await walk.take(at_once):
            met += letters
    return met


def told(letters: list[DeadLetter]) -> list[DeadLetter]:
    """What they tell, but for their headers."""
    bare = (replace(letter, headers={}, tag=None) for letter in letters)
    return sorted(bare, key=lambda letter: letter.body)


async def publish_dead(url: str, headers: dict[str, Any]) -> None:
    """A dead letter of a stranger."""
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        dead = await channel.get_exchange("holdfast.dead")
        await dead.publish(aio_pika.Message(b"x", headers=headers), "a.x")


@pytest.mark.parametrize(("count", "at_once"), [(5, 1000), (40, 3)])
async def test_letters_stay_however_often_they_are_looked_at(
    fresh_amqp_url: str, rabbitmq_api: BrokerApi, count: int, at_once: int
) -> None:
    await limit_deliveries(rabbitmq_api, fresh_amqp_url)
    async with RabbitBus(fresh_amqp_url) as bus:
        await bury(bus, count)
        for _ in range(WALKS):
            letters = await look(bus, count, at_once)
            assert sorted(letter.id for letter in letters) == sorted(f"m{n}" for n in range(count))


async def test_letters_of_many_bytes_stay_too(fresh_amqp_url: str, rabbitmq_api: BrokerApi) -> None:
    await limit_deliveries(rabbitmq_api, fresh_amqp_url)
    async with RabbitBus(fresh_amqp_url) as bus:
        await bury(bus, 12, size=5 << 20)
        for _ in range(LIMIT + 5):
            assert len({letter.id for letter in await look(bus, 12)}) == 12


async def test_a_copy_reads_as_its_original(fresh_amqp_url: str) -> None:
    async with RabbitBus(fresh_amqp_url) as bus:
        delivery = Delivery(
            b"\xff", "a.save.now", None, "r", "c", "m", headers={"x-tenant": "\xe9"}, attempts=3
        )
        await bus.dead_letter(delivery, reason="internal_error", error="no!", agent="a")
        await (await bus.consume("a")).cancel()
        await bus.publish(Publication("a.late", b"late", "c", "r", expiration_seconds=0.01))
        await publish_dead(fresh_amqp_url, {"CC": ["holdfast.agent.a"], "x-n": 7})
        first = await look(bus, 3)
        for _ in range(DUE):
            await look(bus, 3)
        copies = await look(bus, 3)
        assert told(copies) == told(first)
        assert {letter.reason for letter in copies} == {"internal_error", "expired", ""}
        # Waiting for the originals to be gone may have looked at one.
        assert all(int(letter.headers.get("x-delivery-count", 0)) <= 1 for letter in copies)
        assert "7" in [letter.headers.get("x-n") for letter in copies]
    async with await aio_pika.connect(fresh_amqp_url) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue("holdfast.agent.a", passive=True)
        assert queue.declaration_result.message_count == 0


async def test_what_is_removed_is_not_copied(fresh_amqp_url: str) -> None:
    async with RabbitBus(fresh_amqp_url) as bus:
        await bury(bus, 30)
        for _ in range(DUE):
            await look(bus, 30)
        await until(lambda: _counts(bus, 30))
        async with bus.dead_letters() as walk:
            letters = await walk.take(1000)
            await walk.remove(letters[::3])
        kept = {letter.id for letter in letters} - {letter.id for letter in letters[::3]}
        assert {letter.id for letter in await look(bus, 20)} == kept


async def test_a_forged_count_makes_no_copies(fresh_amqp_url: str) -> None:
    async with RabbitBus(fresh_amqp_url) as bus:
        await publish_dead(fresh_amqp_url, {"x-delivery-count": 99, "mine": "kept as it is"})
        for _ in range(3):
            (letter,) = await look(bus, 1)
            assert "x-holdfast-attempts" not in letter.headers


async def _counts(bus: Bus, expected: int) -> bool:
    async with bus.dead_letters() as walk:
        return walk.total == expected
