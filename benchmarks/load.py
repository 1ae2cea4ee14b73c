"""Closed loops: so many requests in flight, each awaited before the next of its kind begins."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count
from time import perf_counter
from typing import TypeAlias

Request: TypeAlias = Callable[[int], Awaitable[object]]
"""Performs one request and awaits its answer; it is given a number not used before."""

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
