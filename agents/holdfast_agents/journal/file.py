"""The journal of an embedded service: a message log in a file."""

import asyncio
import os
from collections.abc import Awaitable, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from holdfast_agents.base.answers import Answer
from holdfast_protocol.codec import Refusal
from holdfast_protocol.messages import AgentMessage

from .lines import encode_lines


class FileJournal:
    """Appends exchanges to a JSON Lines file, handed to the operating system at once.

    Raises:
        OSError: when entered, the file cannot be opened. What cannot be written later ends the
            service: nothing is to be executed that is not recorded.
    """

    def __init__(self, path: Path | str) -> None:
        self._path = Path(path)
        self._file: IO[bytes] | None = None
        self.recorded = 0

    def record(
        self, agent: str, items: Sequence[AgentMessage | Refusal], answers: Sequence[Answer]
    ) -> Awaitable[bool]:
        """As `Journal.record`; kept when this returns."""
        if self._file is None:
            raise RuntimeError("the journal is not open")
        lines = encode_lines(agent, items, answers)
        self._file.write(b"".join(lines))
        self._file.flush()
        self.recorded += len(lines)
        kept = asyncio.get_running_loop().create_future()
        kept.set_result(True)
        return kept

    async def __aenter__(self) -> Self:
        file = self._path.open("ab+")
        if file.tell() and not _ends_a_line(file):
            file.write(b"\n")  # a process died while it wrote: only that line is lost
        self._file = file
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _ends_a_line(file: IO[bytes]) -> bool:
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"
