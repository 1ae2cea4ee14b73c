"""The proxy cuts at the n-th publish, confirm, delivery or ack, and leaves just what it says."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import aiormq
import pytest
from aiormq.abc import DeliveredMessage

from tests.chaos.proxy.amqp import AmqpProxy
from tests.chaos.proxy.rules import Armed, Cut, How, Point, When
from tests.unit.chaos.proxy.conftest import PATIENCE, Queue

pytestmark = pytest.mark.amqp

_SEVERAL_FRAMES = b"0123456789" * 30_000
_LOST = (ConnectionError, aiormq.exceptions.AMQPError, RuntimeError, asyncio.CancelledError)


@asynccontextmanager
async def channel(proxy: AmqpProxy) -> AsyncIterator[aiormq.abc.AbstractChannel]:
    """A channel by way of the proxy, which may be lost meanwhile."""
    connection = await aiormq.connect(proxy.proxied_url)
    try:
        yield await connection.channel()
    finally:
        with suppress(*_LOST):
            await connection.close()


async def publish(channel: aiormq.abc.AbstractChannel, queue: Queue, body: bytes = b"x") -> bool:
    """Publish and wait for the confirm; whether it came."""
    try:
        async with asyncio.timeout(PATIENCE):
            await channel.basic_publish(body, routing_key=queue.name)
    except (*_LOST, TimeoutError):
        return False
    return True


async def struck(armed: Armed) -> None:
    async with asyncio.timeout(PATIENCE):
        await armed.struck.wait()


@pytest.mark.parametrize("body", [b"", b"small", _SEVERAL_FRAMES], ids=["empty", "small", "large"])
@pytest.mark.parametrize("how", [How.RESET, How.CLOSE])
@pytest.mark.parametrize(("when", "kept"), [("before", 2), ("within", 2), ("after", 3)])
async def test_the_third_publish_is_cut(
    proxy: AmqpProxy, queue: Queue, how: How, when: When, kept: int, body: bytes
) -> None:
    async with channel(proxy) as publisher:
        with proxy.cutting(Cut(Point.PUBLISH, When(when), 3, how)) as armed:
            assert [await publish(publisher, queue, body) for _ in range(3)] == [True, True, False]
            await struck(armed)
    await queue.holds(kept)
    assert proxy.seen[Point.PUBLISH] == kept
    assert sum(proxy.cuts.values()) == 1


@pytest.mark.parametrize("how", [How.RESET, How.CLOSE])
@pytest.mark.parametrize(("when", "told"), [("before", 2), ("within", 2), ("after", 3)])
async def test_the_third_confirm_is_cut_and_its_message_is_there(
    proxy: AmqpProxy, queue: Queue, how: How, when: str, told: int
) -> None:
    async with channel(proxy) as publisher:
        with proxy.cutting(Cut(Point.CONFIRM, When(when), 3, how)) as armed:
            confirmed = [await publish(publisher, queue) for _ in range(3)]
            await struck(armed)
        assert confirmed == [True, True, told == 3]
        assert not await publish(publisher, queue)
    await queue.holds(3)
    assert proxy.seen[Point.CONFIRM] == told


@pytest.mark.parametrize("body", [b"small", _SEVERAL_FRAMES], ids=["small", "large"])
@pytest.mark.parametrize(("when", "given"), [("before", 2), ("within", 2), ("after", 3)])
async def test_the_third_delivery_is_cut_and_all_of_them_come_again(
    proxy: AmqpProxy, queue: Queue, when: str, given: int, body: bytes
) -> None:
    await queue.fill(5, body)
    taken: list[DeliveredMessage] = []

    async def take(message: DeliveredMessage) -> None:
        taken.append(message)

    async with channel(proxy) as consumer:
        with proxy.cutting(Cut(Point.DELIVERY, When(when), 3)) as armed:
            await consumer.basic_consume(queue.name, take)
            await struck(armed)
            await asyncio.wait([consumer.closing])
    assert [message.body for message in taken] == [body] * given
    await queue.holds(5)


@pytest.mark.parametrize(("when", "left"), [("before", 3), ("within", 3), ("after", 2)])
async def test_the_third_ack_is_cut_and_what_was_not_acked_comes_again(
    proxy: AmqpProxy, queue: Queue, when: str, left: int
) -> None:
    await queue.fill(5)

    async with channel(proxy) as consumer:

        async def take(message: DeliveredMessage) -> None:
            assert message.delivery_tag is not None
            with suppress(*_LOST):
                await consumer.basic_ack(message.delivery_tag)

        with proxy.cutting(Cut(Point.ACK, When(when), 3)) as armed:
            await consumer.basic_consume(queue.name, take)
            await struck(armed)
    await queue.holds(left)


async def test_a_rule_counts_over_all_connections(proxy: AmqpProxy, queue: Queue) -> None:
    async with channel(proxy) as one, channel(proxy) as other:
        with proxy.cutting(Cut(Point.PUBLISH, When.BEFORE, 3)):
            assert await publish(one, queue)
            assert await publish(other, queue)
            assert not await publish(one, queue)
            assert await publish(other, queue)


async def test_a_rule_counts_each_connection_for_itself_and_may_stay(
    proxy: AmqpProxy, queue: Queue
) -> None:
    with proxy.cutting(Cut(Point.PUBLISH, When.BEFORE, 2, per_connection=True, repeat=True)):
        for _ in range(2):
            async with channel(proxy) as one, channel(proxy) as other:
                assert await publish(one, queue)
                assert await publish(other, queue)
                assert not await publish(one, queue)
                assert not await publish(other, queue)
    async with channel(proxy) as free:
        assert [await publish(free, queue) for _ in range(3)] == [True] * 3
    assert sum(proxy.cuts.values()) == 4


async def test_everything_is_cut_at_once(proxy: AmqpProxy, queue: Queue) -> None:
    async with channel(proxy) as one, channel(proxy) as other:
        assert proxy.cut_all() == 2
        assert not await publish(one, queue)
        assert not await publish(other, queue)
