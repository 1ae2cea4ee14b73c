"""What a walk over a broker removes is gone, however much it is: the broker parks acks beyond
some, and drops those with the channel (rabbitmq-server issue 10327)."""

import asyncio
from collections.abc import Callable

import pytest

from holdfast_protocol.bus.contract import Bus, DeadLetter, DeadLetters, Delivery
from tests.conformance.bus.harness import RabbitHarness
from tests.conformance.bus.rabbitmq.tools import until

pytestmark = pytest.mark.amqp

COUNTS = (33, 64, 100, 200)
RUNS = 10


def all_of(letters: list[DeadLetter]) -> list[DeadLetter]:
    return letters


def every_second_of(letters: list[DeadLetter]) -> list[DeadLetter]:
    return letters[::2]


async def bury(bus: Bus, count: int) -> None:
    await asyncio.gather(
        *(
            bus.dead_letter(Delivery(b"%d" % n, "a.x", tag=None), reason="r", error="", agent="a")
            for n in range(count)
        )
    )


async def take(walk: DeadLetters, count: int, at_once: int) -> list[DeadLetter]:
    letters: list[DeadLetter] = []
    while len(letters) < count:
        letters += await walk.take(min(at_once, count - len(letters)))
    return letters


async def drain(bus: Bus) -> list[bytes]:
    async with bus.dead_letters() as walk:
        letters = await walk.take(1000)
        await walk.remove(letters)
    return sorted(letter.body for letter in letters)


@pytest.mark.parametrize("at_once", [1000, 1])
@pytest.mark.parametrize("chosen", [all_of, every_second_of])
@pytest.mark.parametrize("count", COUNTS)
async def test_what_is_removed_does_not_come_back(
    amqp_url: str,
    count: int,
    chosen: Callable[[list[DeadLetter]], list[DeadLetter]],
    at_once: int,
) -> None:
    async with RabbitHarness(amqp_url).bus() as bus:
        for _ in range(RUNS if at_once > 1 else 2):
            await bury(bus, count + 1)
            async with bus.dead_letters() as walk:
                letters = await take(walk, count + 1, at_once)
                # One is kept: when it is back, so is everything else that the channel held.
                removed = chosen(letters[:-1])
                await walk.remove(removed)
            gone = {letter.body for letter in removed}
            kept = sorted(letter.body for letter in letters if letter.body not in gone)
            await until(lambda: _has_some(bus))
            assert await drain(bus) == kept


async def test_letters_beyond_those_that_are_removed_are_met_once_and_kept(amqp_url: str) -> None:
    async with RabbitHarness(amqp_url).bus() as bus:
        await bury(bus, 300)
        met: list[bytes] = []
        kept: list[bytes] = []
        async with bus.dead_letters() as walk:
            while letters := await walk.take(100):
                met += [letter.body for letter in letters]
                kept += [letter.body for letter in letters[1::2]]
                await walk.remove(letters[::2])
                # These come only after the walk began.
                await bury(bus, 2)
        assert len(met) == 300
        await until(lambda: _has_some(bus))
        drained = await drain(bus)
        assert len(drained) == len(kept) + 2 * 3
        assert set(kept) <= set(drained)


async def _has_some(bus: Bus) -> bool:
    async with bus.dead_letters() as walk:
        return walk.total > 0
