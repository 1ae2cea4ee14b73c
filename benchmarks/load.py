"""Closed loops: so many requests in flight, each awaited before the next of its kind begins."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from itertools import count
from time import perf_counter
from typing import TypeAlias

Request: TypeAlias = Callable[[int], Awaitable[object]]
"""Performs one request and awaits its answer; it is given a number not used before."""

_TURNS = 3
_numbers = count(1)


async def rate(
    request: Request, *, in_flight: int, seconds: float, warm_seconds: float = 0.0
) -> float:
    """Answers per second while `in_flight` requests are always under way.

    What completes in the first `warm_seconds` does not count.
    """
    completed = 0
    begin = perf_counter()
    counting_from = begin + warm_seconds
    end = counting_from + seconds

    async def worker() -> None:
        nonlocal completed
        while True:
            await request(next(_numbers))
            now = perf_counter()
            if now >= end:
                return
            if now >= counting_from:
                completed += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(in_flight):
            group.create_task(worker())
    return completed / seconds


@dataclass(frozen=True, slots=True)
class Load:
    """A request, and how many of it are under way at once."""

    request: Request
    in_flight: int


async def alternating_rates(
    loads: Mapping[str, Load],
    *,
    seconds: float,
    warm_seconds: float,
    stage: Callable[[str], None],
) -> dict[str, float]:
    """The rate of each load, measured in turns, so that a drift of the machine hits all alike.

    Args:
        seconds: measured of each load, all turns together.
        warm_seconds: what does not count of each load, all turns together.
        stage: is told whose turn it is.
    """
    totals = dict.fromkeys(loads, 0.0)
    for _ in range(_TURNS):
        for name, load in loads.items():
            stage(name)
            totals[name] += await rate(
                load.request,
                in_flight=load.in_flight,
                seconds=seconds / _TURNS,
                warm_seconds=warm_seconds / _TURNS,
            )
    return {name: total / _TURNS for name, total in totals.items()}


async def total_rate(request: Request, *, in_flight: int, total: int) -> float:
    """Answers per second over exactly `total` requests."""
    remaining = iter(range(total))

    async def worker() -> None:
        for _ in remaining:
            await request(next(_numbers))

    begin = perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(in_flight):
            group.create_task(worker())
    return total / (perf_counter() - begin)


async def milliseconds(request: Request, *, times: int, warm: int = 0) -> list[float]:
    """The durations of `times` requests, one at a time, after `warm` that do not count."""
    durations = []
    for round_number in range(warm + times):
        begin = perf_counter()
        await request(next(_numbers))
        if round_number >= warm:
            durations.append((perf_counter() - begin) * 1000)
    return durations
