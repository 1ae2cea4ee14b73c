"""How a store on several Redis servers is opened: refused, or given up on the way."""

import asyncio
import gc

import pytest

from holdfast_backends.errors import StorageError, UnavailableError
from holdfast_backends.redis import RedisBackend

_TURNS = range(0, 200, 5)  # of the event loop


async def refusal(url: str, advice: str) -> StorageError:
    """The error that a URL is refused with: it gives an advice, and waiting does not help."""
    with pytest.raises(StorageError, match=advice) as caught:
        await RedisBackend(url).__aenter__()
    assert not isinstance(caught.value, UnavailableError)
    return caught.value


async def give_up_opening(url: str) -> None:
    """Cancel whoever opens a store, earlier and later: what is left open then warns."""
    for turns in _TURNS:
        opening = asyncio.create_task(_open_and_close(url))
        for _ in range(turns):
            await asyncio.sleep(0)
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)
    gc.collect()  # it warns now


async def _open_and_close(url: str) -> None:
    async with RedisBackend(url, namespace="cancelled"):
        pass
