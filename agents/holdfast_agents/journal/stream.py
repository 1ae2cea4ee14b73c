"""The journal on the bus: chunks of lines, appended while the next ones gather."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Sequence
from types import TracebackType
from typing import Final, Self

from holdfast_agents.base.answers import Answer
from holdfast_agents.logs import Logger
from holdfast_protocol.bus.contract import Bus
from holdfast_protocol.codec import Refusal
from holdfast_protocol.errors import HoldfastError
from holdfast_protocol.messages import AgentMessage

from .lines import encode_lines

_CHUNK_BYTES: Final = 1024 * 1024
_FAREWELL_SECONDS: Final = 5.0


class StreamJournal:
    """Appends exchanges to the journal of a bus.

    Whatever was executed while a chunk was on its way is the next chunk. What waits is bounded
    by the runner, which does not go far ahead of what is kept.

    Args:
        bus: open; the caller closes it.
    """

    def __init__(self, bus: Bus, log: Logger) -> None:
        self._bus = bus
        self._log = log
        self._waiting: deque[tuple[bytes, asyncio.Future[bool]]] = deque()
        self._arrived = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._is_failing = False

    def record(
        self, agent: str, items: Sequence[AgentMessage | Refusal], answers: Sequence[Answer]
    ) -> Awaitable[bool]:
        """As `Journal.record`."""
        kept: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        lines = encode_lines(agent, items, answers)
        if lines:
            self._waiting.append((lines, kept))
            self._arrived.set()
        else:
            kept.set_result(True)
        return kept

    async def _run(self) -> None:
        while True:
            await self._arrived.wait()
            while self._waiting:
                await self._append(self._next())
            self._arrived.clear()

    def _next(self) -> list[tuple[bytes, "asyncio.Future[bool]"]]:
        chunk = [self._waiting.popleft()]
        size = len(chunk[0][0])
        while self._waiting and size + len(self._waiting[0][0]) <= _CHUNK_BYTES:
            chunk.append(self._waiting.popleft())
            size += len(chunk[-1][0])
        return chunk

    async def _append(self, chunk: list[tuple[bytes, "asyncio.Future[bool]"]]) -> None:
        is_kept = False
        try:
            await self._bus.journal(b"".join(lines for lines, _kept in chunk))
            is_kept = True
            self._is_failing = False
        except HoldfastError as error:
            if not self._is_failing:
                self._log.warning("not journaled; it will come again", error=str(error))
            self._is_failing = True
        finally:
            for _lines, kept in chunk:
                if not kept.done():
                    kept.set_result(is_kept)

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="journal")
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        task, self._task = self._task, None
        if task is None:
            return
        futures = [kept for _lines, kept in self._waiting]
        if futures and not task.done():
            await asyncio.wait(futures, timeout=_FAREWELL_SECONDS)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        for _lines, kept in self._waiting:
            if not kept.done():
                kept.set_result(False)
