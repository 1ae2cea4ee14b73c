"""Waiting for one's turn, never for ever."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from holdfast_backends.errors import UnavailableError

from .translation import BUSY


@asynccontextmanager
async def turn(turns: asyncio.Semaphore, timeout: float) -> AsyncIterator[None]:
    """One of the turns, while the context is open.

    Raises:
        UnavailableError: none became free within `timeout` seconds.
    """
    try:
        async with asyncio.timeout(timeout):
            await turns.acquire()
    except TimeoutError as error:
        raise UnavailableError(BUSY) from error
    try:
        yield
    finally:
        turns.release()
