"""Replaying: the messages of a log in its order, in batches that keep the order.

What the log holds of time is respected where it changes answers: a deadline that was kept when
the message was executed does not count again, and once records may expire, only what was
executed at one moment is executed together.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic
from typing import Final

from pydantic import JsonValue

from holdfast_protocol.errors import HoldfastError, NoRouteError
from holdfast_protocol.messages import AgentMessage, AgentResponse
from holdfast_protocol.times import parse_time, utc_now

from .comparing import Comparison, Difference
from .reading import BadLine, LogEntry
from .targets import Target

BATCH_MESSAGES: Final = 256
_BATCH_BYTES: Final = 4 * 1024 * 1024
_SAMPLES: Final = 10
_TELLING: Final = frozenset({"storage_save", "storage_update"})
"""Actions whose `updated_at` is the moment of their own execution."""


class ReplayError(Exception):
    """The replay cannot go on; the text names the line."""


@dataclass(frozen=True, slots=True)
class Divergence:
    """A message whose answer is not the recorded one."""

    line: int
    message_id: str
    action: str
    differences: list[Difference]


@dataclass(slots=True)
class Report:
    """What a replay did. `samples` and `bad_lines` hold the first few; the numbers count all."""

    replayed: int = 0
    compared: int = 0
    differing: int = 0
    samples: list[Divergence] = field(default_factory=list)
    broken: int = 0
    bad_lines: list[BadLine] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    found: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether every line was replayed, and nothing compared differs."""
        return not (self.differing or self.broken or self.skipped)

    @property
    def rate(self) -> float:
        """Messages per second."""
        return self.replayed / self.seconds if self.seconds > 0 else 0.0


class Replayer:
    """Replays logs against a target.

    Args:
        comparison: how to compare; None only replays.
        speed: how many times as fast as it was recorded; None is as fast as possible.
        samples: how many divergences and bad lines the report keeps.
        on_progress: called with the number of bytes of the log that were dealt with.
    """

    def __init__(
        self,
        target: Target,
        *,
        comparison: Comparison | None = None,
        speed: float | None = None,
        samples: int = _SAMPLES,
        on_progress: Callable[[int], None] | None = None,
    ) -> None:
        self._target = target
        self._comparison = comparison
        self._speed = speed
        self._samples = samples
        self._on_progress = on_progress
        self._report = Report()
        self._batch: list[LogEntry] = []
        self._ids: set[str] = set()
        self._bytes = 0
        self._timed = False
        self._began: tuple[float, datetime] | None = None

    async def run(self, entries: Iterable[LogEntry | BadLine]) -> Report:
        """Replay everything, in order.

        Raises:
            ReplayError: there was no answer.
            LaterVersionError: from reading the entries.
        """
        report = self._report = Report(found=await self._existing())
        started = monotonic()
        for entry in entries:
            if isinstance(entry, BadLine):
                self._broken(entry)
                continue
            if not self._fits(entry):
                await self._flush()
            if self._speed is not None:
                await self._keep_pace(entry.exchange.at, self._speed)
            self._add(entry)
        await self._flush()
        report.seconds = monotonic() - started
        return report

    async def _existing(self) -> dict[str, int]:
        """What the store holds already, by collection; nothing where nobody can tell."""
        question = AgentMessage(action="storage_collections", sender="replay")
        try:
            (answer,) = await self._target.send("storage", [question], utc_now())
        except NoRouteError:
            return {}
        except HoldfastError as error:
            raise ReplayError(f"the storage agent does not answer: {error}") from error
        return dict(_counts(answer.result))

    # -- batches -------------------------------------------------------------------------------

    def _fits(self, entry: LogEntry) -> bool:
        if not self._batch:
            return True
        first = self._batch[0].exchange
        self._timed = self._timed or entry.timed
        return (
            len(self._batch) < BATCH_MESSAGES
            and self._bytes + entry.size <= _BATCH_BYTES
            and first.agent == entry.exchange.agent
            and entry.exchange.message.id not in self._ids
            and (not self._timed or first.at == entry.exchange.at)
        )

    def _add(self, entry: LogEntry) -> None:
        self._batch.append(entry)
        self._ids.add(entry.exchange.message.id)
        self._bytes += entry.size
        self._timed = self._timed or entry.timed

    async def _keep_pace(self, at: datetime, speed: float) -> None:
        if self._began is None:
            self._began = (monotonic(), at)
        began, first = self._began
        wait = began + (at - first).total_seconds() / speed - monotonic()
        if wait > 0:
            await self._flush()
            await asyncio.sleep(wait)

    async def _flush(self) -> None:
        batch, self._batch = self._batch, []
        self._ids.clear()
        self._bytes = 0
        if not batch:
            return
        first = batch[0].exchange
        messages = [_as_executed(entry) for entry in batch]
        try:
            answers = await self._target.send(first.agent, messages, _moment(batch))
        except NoRouteError:
            self._report.skipped[first.agent] += len(batch)
        except HoldfastError as error:
            raise ReplayError(f"line {batch[0].number}: {error}") from error
        else:
            for entry, answer in zip(batch, answers, strict=True):
                self._answered(entry, answer)
        self._progressed(sum(entry.size for entry in batch))

    # -- the report ----------------------------------------------------------------------------

    def _answered(self, entry: LogEntry, answer: AgentResponse) -> None:
        report = self._report
        report.replayed += 1
        report.outcomes[answer.error_type or answer.status] += 1
        if self._comparison is None:
            return
        report.compared += 1
        message, expected = entry.exchange.message, entry.exchange.response
        found = self._comparison.differences(message.action, expected, answer)
        if found:
            report.differing += 1
            if len(report.samples) < self._samples:
                divergence = Divergence(entry.number, message.id, message.action, found)
                report.samples.append(divergence)

    def _broken(self, line: BadLine) -> None:
        self._report.broken += 1
        if len(self._report.bad_lines) < self._samples:
            self._report.bad_lines.append(line)
        self._progressed(line.size)

    def _progressed(self, size: int) -> None:
        if self._on_progress is not None:
            self._on_progress(size)


def _moment(batch: list[LogEntry]) -> datetime:
    """When the batch was executed: as a write of it tells, else the log's moment, just after."""
    for entry in batch:
        response = entry.exchange.response
        told = response.meta.get("updated_at")
        is_write = entry.exchange.message.action in _TELLING
        if is_write and isinstance(told, str) and "replayed" not in response.meta:
            try:
                return parse_time(told)
            except ValueError:
                break
    return batch[0].exchange.at


def _as_executed(entry: LogEntry) -> AgentMessage:
    """The message; without its deadline, when it was executed before that."""
    message = entry.exchange.message
    if message.deadline is None or entry.exchange.response.error_type == "expired":
        return message
    return message.model_copy(update={"deadline": None})


def _counts(result: JsonValue) -> Iterable[tuple[str, int]]:
    for item in result if isinstance(result, list) else ():
        if isinstance(item, dict):
            name, count = item.get("collection"), item.get("count")
            if isinstance(name, str) and isinstance(count, int) and count:
                yield name, count
