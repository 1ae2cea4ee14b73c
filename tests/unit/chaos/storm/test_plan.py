"""A seed plans a run, and a run does what it is asked for."""

import asyncio
from pathlib import Path
from random import Random

from tests.chaos.faults.contract import Strike
from tests.chaos.options import Options
from tests.chaos.storm import Lane, rage


class _Noted:
    """A fault that notes what it draws."""

    kind = "note"

    def __init__(self) -> None:
        self.drawn: list[float] = []

    async def strike(self, random: Random) -> Strike:
        await asyncio.sleep(0)
        self.drawn.append(random.random())
        return Strike(self.kind, 1.0, 2.0)


async def _drawn(seed: int) -> list[list[float]]:
    faults = [_Noted(), _Noted()]
    told: list[Strike] = []
    await rage([Lane(fault, 3, (0.0, 0.001)) for fault in faults], seed, told.append)
    assert len(told) == 6
    return [fault.drawn for fault in faults]


async def test_a_seed_strikes_the_same_way_again() -> None:
    first = await _drawn(7)
    assert first == await _drawn(7)
    assert first != await _drawn(8)
    assert first[0] != first[1]


def test_the_rounds_together_do_what_the_run_is_asked_for() -> None:
    options = Options(Path(), 1, kills=200, rounds=7)
    shares = [options.share(options.kills, number) for number in range(1, 8)]
    assert sum(shares) == 200
    assert max(shares) - min(shares) <= 1


def test_every_process_is_spared_for_a_part_of_the_run() -> None:
    options = Options(Path(), 1, agents=2, rounds=20)
    assert [options.protected(number) for number in (1, 10, 11, 20)] == [0, 0, 1, 1]


def test_rounds_differ_and_a_seed_gives_the_same_ones() -> None:
    seeds = [Options(Path(), 5).seed_of(number) for number in range(5)]
    assert len(set(seeds)) == 5
    assert seeds == [Options(Path(), 5).seed_of(number) for number in range(5)]
