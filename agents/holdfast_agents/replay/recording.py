"""From a journal to a message log: in the order of execution, each exchange once."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import IO, Final

from holdfast_protocol.logs import write_exchange

from .ordering import Memory, Ordering, is_repeat
from .reading import BadLine, LogEntry, read_entries

_SAMPLES: Final = 10


@dataclass(frozen=True, slots=True)
class Selection:
    """What to take of a journal.

    Args:
        since: nothing of before this moment, which has a time zone.
        agent: only what this agent was told.
        raw: as the journal holds it: nothing sorted, left out or put right; also lines that are
            no exchange.
    """

    since: datetime | None = None
    agent: str | None = None
    raw: bool = False


@dataclass(slots=True)
class Recorded:
    """What was recorded. `bad_lines` holds the first few; the numbers count all.

    Args:
        first, last: moments of the earliest and the latest exchange.
        repeats: lines that were left out because they had been appended twice.
        put_right: stored answers that stand for a first telling which the journal lacks.
    """

    exchanges: int = 0
    bytes: int = 0
    first: datetime | None = None
    last: datetime | None = None
    agents: Counter[str] = field(default_factory=Counter)
    repeats: int = 0
    put_right: int = 0
    broken: int = 0
    bad_lines: list[BadLine] = field(default_factory=list)


class Recorder:
    """Writes the chunks of a journal to a file as a message log.

    Args:
        out: open for writing; the caller closes it.
    """

    def __init__(self, out: IO[bytes], selection: Selection) -> None:
        self._out = out
        self._selection = selection
        self._ordering = Ordering()
        self._told = Memory()
        self._lines = 0
        self.recorded = Recorded()

    def take(self, chunk: bytes) -> None:
        """The next chunk: whole lines.

        Raises:
            LaterVersionError: a line is of a later version of the format.
            OSError: the file cannot be written.
        """
        lines = chunk.removesuffix(b"\n").split(b"\n")
        for entry in read_entries(lines, first=self._lines + 1, keep_text=True):
            if isinstance(entry, BadLine):
                self._broken(entry, lines[entry.number - self._lines - 1])
            elif self._is_wanted(entry):
                self._add(entry)
        self._lines += len(lines)

    def finish(self) -> Recorded:
        """Write what is held back. Raises OSError."""
        while self._ordering.held:
            self._release()
        return self.recorded

    def _is_wanted(self, entry: LogEntry) -> bool:
        selection = self._selection
        if selection.agent is not None and entry.exchange.agent != selection.agent:
            return False
        return selection.since is None or entry.exchange.at >= selection.since

    def _add(self, entry: LogEntry) -> None:
        if self._selection.raw:
            self._write(entry)
        elif is_repeat(entry, self._told):
            self.recorded.repeats += 1
        else:
            self._ordering.add(entry)
            while self._ordering.is_full:
                self._release()

    def _release(self) -> None:
        for entry in self._ordering.take():
            if isinstance(entry, LogEntry):
                self._write(entry)

    def _write(self, entry: LogEntry) -> None:
        told, exchange = self.recorded, entry.exchange
        if entry.stands_for_original:
            told.put_right += 1
            line = write_exchange(exchange)
        else:
            line = entry.text + b"\n"  # as it was, with whatever a later version may have put in
        self._out.write(line)
        told.exchanges += 1
        told.bytes += len(line)
        told.agents[exchange.agent] += 1
        if told.first is None or exchange.at < told.first:
            told.first = exchange.at
        if told.last is None or exchange.at > told.last:
            told.last = exchange.at

    def _broken(self, bad: BadLine, line: bytes) -> None:
        told = self.recorded
        told.broken += 1
        if len(told.bad_lines) < _SAMPLES:
            told.bad_lines.append(bad)
        if self._selection.raw:
            self._out.write(line + b"\n")
