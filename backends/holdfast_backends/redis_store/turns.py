"""The queue inside one process: whoever wants to change a collection waits for its turn.

Units are optimistic towards other processes. Those of one process would only ever make each
other begin again, so they queue instead, in the order in which they came.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from holdfast_backends.errors import UnavailableError


@dataclass(slots=True)
class _Queue:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0


class Turns:
    """Turns on collections, or on everything.

    Args:
        patience: seconds to wait for a turn.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._queues: dict[str, _Queue] = {}
        self._gate = asyncio.Lock()
        self._inside = 0
        self._empty = asyncio.Event()
        self._empty.set()

    @asynccontextmanager
    async def on(self, collections: Sequence[str]) -> AsyncIterator[None]:
        """Have the turn on some collections. Their names come in order, so nobody waits in a ring.

        Raises:
            UnavailableError: it did not come in time.
        """
        async with AsyncExitStack() as stack:
            async with self._bounded():
                await stack.enter_async_context(self._shared())
                for name in collections:
                    await stack.enter_async_context(self._queued(name))
            yield

    @asynccontextmanager
    async def on_everything(self) -> AsyncIterator[None]:
        """Have the turn alone.

        Raises:
            UnavailableError: it did not come in time.
        """
        async with AsyncExitStack() as stack:
            async with self._bounded():
                # Who comes now waits at the gate; who is inside goes on to its end.
                await stack.enter_async_context(self._gate)
                await self._empty.wait()
            yield

    @asynccontextmanager
    async def _bounded(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._patience):
                yield
        except TimeoutError as error:
            raise UnavailableError("the store is too busy now") from error

    @asynccontextmanager
    async def _shared(self) -> AsyncIterator[None]:
        async with self._gate:
            self._inside += 1
            self._empty.clear()
        try:
            yield
        finally:
            self._inside -= 1
            if not self._inside:
                self._empty.set()

    @asynccontextmanager
    async def _queued(self, name: str) -> AsyncIterator[None]:
        queue = self._queues.setdefault(name, _Queue())
        queue.users += 1
        try:
            async with queue.lock:
                yield
        finally:
            queue.users -= 1
            if not queue.users:
                del self._queues[name]
