"""How soon the service goes on after a death or a failover."""

import asyncio
from typing import Final

from tests.chaos.load.load import Load

RECOVERY: Final = 5.0
"""Seconds that are promised, from the moment that somebody serves again to the first success."""
_PATIENCE: Final = 120.0  # seconds: a bound for what must happen


async def seconds_to_success(load: Load, since: float) -> float:
    """How long after a moment the first success came, or comes. Raises TimeoutError."""
    async with asyncio.timeout(_PATIENCE):
        while (first := load.first_success_after(since)) is None:
            await load.until(1)
    return first - since
