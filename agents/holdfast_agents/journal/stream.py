"""The journal on the bus: chunks of lines, appended while the next ones gather."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
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


@dataclass(slots=True)
class _Entry:
    """The lines of one batch that are still to be appended, and who waits for that."""

    lines: deque[bytes]
    kept: "asyncio.Future[bool]"

    def end(self, is_kept: bool) -> None:
        if not self.kept.done():
            self.kept.set_result(is_kept)


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
        self._waiting: deque[_Entry] = deque()
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
            self._waiting.append(_Entry(deque(lines), kept))
            self._arrived.set()
        else:
            kept.set_result(True)
        return kept

    async def _run(self) -> None:
        while True:
            await self._arrived.wait()
            while self._waiting:
                await self._append_next()
            self._arrived.clear()

    async def _append_next(self) -> None:
        """Append the lines that wait, about a MiB of them."""
        chunk: list[bytes] = []
        size = 0
        touched: list[_Entry] = []
        while self._waiting and size < _CHUNK_BYTES:
            entry = self._waiting[0]
            touched.append(entry)
            while entry.lines and size < _CHUNK_BYTES:
                chunk.append(entry.lines.popleft())
                size += len(chunk[-1])
            if not entry.lines:
                self._waiting.popleft()
        is_kept = False
        try:
            is_kept = await self._append(b"".join(chunk))
        finally:
            for entry in touched:
                if not is_kept:
                    entry.lines.clear()  # what is left of it comes again with the rest
                if not entry.lines:
                    entry.end(is_kept)
            while self._waiting and self._waiting[0].kept.done():
                self._waiting.popleft()

    async def _append(self, chunk: bytes) -> bool:
        try:
            await self._bus.journal(chunk)
        except HoldfastError as error:
            self._tell(str(error))
            return False
        except Exception as error:  # noqa: BLE001 — nobody is to wait for ever
            self._log.error("not journaled; it will come again", exc_info=error)
            return False
        self._is_failing = False
        return True

    def _tell(self, error: str) -> None:
        if not self._is_failing:
            self._log.warning("not journaled; it will come again", error=error)
        self._is_failing = True

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
        futures = [entry.kept for entry in self._waiting]
        if futures:
            await asyncio.wait(futures, timeout=_FAREWELL_SECONDS)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        for entry in self._waiting:
            entry.end(False)
