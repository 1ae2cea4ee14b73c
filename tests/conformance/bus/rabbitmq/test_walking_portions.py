"""What a walk over a broker has delivered at once: no more than was asked for, within a bound of
bytes, and nothing lost of what came too much."""

import asyncio

import pytest

from holdfast_protocol.bus.contract import Bus, DeadLetter, Delivery
from holdfast_protocol.bus.deadletters import MAX_TAKEN_BYTES
from holdfast_protocol.bus.rabbitmq.bus import RabbitBus
from holdfast_protocol.errors import UnavailableError
from tests.conformance.bus.harness import RabbitHarness, soon
from tests.conformance.bus.rabbitmq.tools import proxy_to, until

pytestmark = pytest.mark.amqp

LARGE = 6 * 1024 * 1024


async def bury(bus: Bus, sizes: list[int]) -> None:
    """One letter of each size, its number in its first bytes."""
    for number, size in enumerate(sizes):
        delivery = Delivery(b"%8d" % number + bytes(size - 8), "storage.x", tag=None)
        await bus.dead_letter(delivery, reason="r", error="e", agent="a")


def numbers(letters: list[DeadLetter]) -> list[int]:
    return [int(letter.body[:8]) for letter in letters]


async def has_total(bus: Bus, expected: int) -> bool:
    async with bus.dead_letters() as walk:
        return walk.total == expected


async def test_a_walk_holds_no_more_than_it_was_asked_for(amqp_url: str) -> None:
    harness = RabbitHarness(amqp_url)
    async with harness.bus() as bus, harness.bus() as other:
        await bury(bus, [8] * 120)
        async with bus.dead_letters() as walk:
            left = 120
            for limit in (1, 11, 99):
                assert len(await walk.take(limit)) == limit
                left -= limit
                assert await has_total(other, left)


async def test_large_ones_behind_small_ones_come_a_few_at_a_time(amqp_url: str) -> None:
    async with RabbitHarness(amqp_url).bus() as bus:
        sizes = [8] * 30 + [LARGE] * 8 + [8] * 30
        await bury(bus, sizes)
        met: list[int] = []
        async with bus.dead_letters() as walk:
            while letters := await soon(walk.take(100)):
                met += numbers(letters)
                assert sum(len(letter.body) for letter in letters) < MAX_TAKEN_BYTES + LARGE
                await walk.remove(letters)
        assert met == list(range(len(sizes)))
        assert await has_total(bus, 0)


async def test_what_came_too_much_goes_back_too(amqp_url: str) -> None:
    async with RabbitHarness(amqp_url).bus() as bus:
        await bury(bus, [8] * 30 + [LARGE] * 8)
        async with bus.dead_letters() as walk:
            letters = await soon(walk.take(100))
            await walk.remove(letters)
        left = 38 - len(letters)
        assert left > 0
        await until(lambda: has_total(bus, left))


async def test_only_what_is_removed_is_gone(amqp_url: str) -> None:
    async with RabbitHarness(amqp_url).bus() as bus:
        await bury(bus, [8] * 100)
        async with bus.dead_letters() as walk:
            first, second = await walk.take(50), await walk.take(50)
            await walk.remove(first[:10])
            await walk.remove([*second[40:], *first[20:30]])
            await walk.remove(first[10:20][::-1])
            await walk.remove([*first[:30], first[40]])
        await until(lambda: has_total(bus, 59))
        async with bus.dead_letters() as walk:
            kept = numbers(await walk.take(100))
        assert sorted(kept) == [*range(30, 40), *range(41, 90)]


async def test_letters_that_another_took_meanwhile_are_not_waited_for(amqp_url: str) -> None:
    harness = RabbitHarness(amqp_url)
    async with harness.bus() as bus, harness.bus() as other:
        await bury(bus, [8] * 60)
        async with bus.dead_letters() as walk:
            mine = await walk.take(5)
            async with other.dead_letters() as quicker:
                others = await quicker.take(50)
                mine += await soon(walk.take(100))
                assert await walk.take(100) == []
                assert sorted(numbers(mine) + numbers(others)) == list(range(60))
                await quicker.remove(others)
        await until(lambda: has_total(bus, 10))


async def test_a_broker_that_does_not_answer_ends_the_walk(amqp_url: str) -> None:
    namespace = RabbitHarness(amqp_url).namespace
    async with (
        proxy_to(amqp_url) as (proxy, url),
        RabbitBus(url, namespace=namespace, operation_timeout=0.5) as bus,
        RabbitBus(amqp_url, namespace=namespace) as other,
    ):
        await bury(bus, [8] * 20)
        async with bus.dead_letters() as walk:
            await walk.take(5)
            proxy.freeze()
            for _ in range(2):
                with pytest.raises(UnavailableError):
                    await soon(walk.take(10))
            proxy.thaw()
            await until(lambda: has_total(other, 20))


async def test_a_take_that_is_cancelled_ends_the_walk_and_gives_all_back(amqp_url: str) -> None:
    namespace = RabbitHarness(amqp_url).namespace
    async with (
        proxy_to(amqp_url) as (proxy, url),
        RabbitBus(url, namespace=namespace) as bus,
        RabbitBus(amqp_url, namespace=namespace) as other,
    ):
        await bury(bus, [8] * 20)
        async with bus.dead_letters() as walk:
            await walk.take(5)
            proxy.freeze()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await walk.take(10)
            proxy.thaw()
            await until(lambda: has_total(other, 20))
            with pytest.raises(UnavailableError):
                await soon(walk.take(10))


@pytest.mark.parametrize("limit", [1, 3, 33, 100])
async def test_every_letter_is_met_once_whatever_the_limit(amqp_url: str, limit: int) -> None:
    async with RabbitHarness(amqp_url).bus() as bus:
        await bury(bus, [8] * 80)
        async with bus.dead_letters() as walk:
            met: list[int] = []
            while letters := await walk.take(limit):
                assert len(letters) <= limit
                met += numbers(letters)
        assert met == list(range(80))
