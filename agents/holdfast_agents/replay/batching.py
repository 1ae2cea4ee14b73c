"""Which messages of a log are executed together: whatever changes no answer."""

from bisect import bisect_left, insort
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from pydantic import JsonValue

from holdfast_protocol.times import parse_time

from .reading import LogEntry

BATCH_MESSAGES: Final = 256
_BATCH_BYTES: Final = 4 * 1024 * 1024
_MARGIN: Final = timedelta(seconds=1)
"""Much more than lies between an execution and the moment that the log has for it."""
_MAX_EXPIRIES: Final = 100_000
_TELLING: Final = frozenset({"storage_save", "storage_update"})
"""Actions whose `updated_at` is the moment of their own execution."""


class Batch:
    """The messages that go together: to one agent, none twice, none over an expiry.

    The store's clock stands still while a batch is executed. Where nothing expires near it, that
    changes nothing; otherwise, and for what begins to expire, only messages of one moment go
    together.
    """

    def __init__(self) -> None:
        self.entries: list[LogEntry] = []
        self._ids: set[str] = set()
        self._bytes = 0
        self._is_timed = False
        self._expiries: list[datetime] | None = []

    def fits(self, entry: LogEntry) -> bool:
        """Whether it may go with those."""
        if not self.entries:
            return True
        first = self.entries[0].exchange
        exchange = entry.exchange
        return (
            len(self.entries) < BATCH_MESSAGES
            and self._bytes + entry.size <= _BATCH_BYTES
            and first.agent == exchange.agent
            and exchange.message.id not in self._ids
            and (first.at == exchange.at or self._is_untimed(first.at, entry))
        )

    def add(self, entry: LogEntry) -> None:
        """Put it behind those."""
        self.entries.append(entry)
        self._ids.add(entry.exchange.message.id)
        self._bytes += entry.size
        if entry.timed:
            self._is_timed = True
            self._expect(entry)

    def take(self) -> list[LogEntry]:
        """All of them; the next batch begins."""
        entries, self.entries = self.entries, []
        self._ids.clear()
        self._bytes = 0
        self._is_timed = False
        return entries

    def _is_untimed(self, first: datetime, entry: LogEntry) -> bool:
        if self._is_timed or entry.timed or self._expiries is None:
            return False
        if not self._expiries:
            return True
        begin, end = sorted((first, entry.exchange.at))
        after = bisect_left(self._expiries, begin - _MARGIN)
        return after == len(self._expiries) or self._expiries[after] > end + _MARGIN

    def _expect(self, entry: LogEntry) -> None:
        """Note when what it began expires; once that is unknown, any moment may be one."""
        if self._expiries is None or not entry.exchange.response.ok:
            return
        told = list(_expiries(entry))
        if not told or len(self._expiries) + len(told) > _MAX_EXPIRIES:
            self._expiries = None
            return
        for moment in told:
            insort(self._expiries, moment)


def moment_of(entries: list[LogEntry]) -> datetime:
    """When they were executed: as a write of them tells, else the log's moment, just after."""
    for entry in entries:
        told = _own_moment(entry)
        if isinstance(told, str):
            try:
                return parse_time(told)
            except ValueError:
                break
    return entries[0].exchange.at


def _own_moment(entry: LogEntry) -> JsonValue:
    action, response = entry.exchange.message.action, entry.exchange.response
    if "replayed" in response.meta:
        return None
    if action in _TELLING:
        return response.meta.get("updated_at")
    if action == "lock_acquire" and isinstance(response.result, dict):
        return response.result.get("acquired_at")
    return None


def _expiries(entry: LogEntry) -> Iterable[datetime]:
    response = entry.exchange.response
    places = [response.meta, response.result]
    if entry.exchange.message.action == "storage_batch" and isinstance(response.result, list):
        places = [part.get("meta") for part in response.result if isinstance(part, dict)]
    for place in places:
        told = place.get("expires_at") if isinstance(place, dict) else None
        if isinstance(told, str):
            try:
                yield parse_time(told)
            except ValueError:
                continue
