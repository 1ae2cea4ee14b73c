"""Replaying: the messages of a log in its order, in batches that keep the order.

What the log holds of time is respected where it changes answers: a deadline that was kept when
the message was executed does not count again, and once records may expire, only what was
executed at one moment is executed together.
"""

import asyncio
from collections.abc import Callable, Iterable
from datetime import datetime
from time import monotonic
from typing import Final

from pydantic import JsonValue

from holdfast_protocol.actions import DEAD_LETTER_ACTIONS
from holdfast_protocol.errors import HoldfastError, NoRouteError
from holdfast_protocol.messages import AgentMessage
from holdfast_protocol.times import utc_now

from .batching import Batch, moment_of
from .comparing import Comparison
from .hints import hint
from .ordering import in_order, without_repeats
from .places import CHANGE, places_of
from .reading import BadLine, LogEntry
from .report import Divergence, Report
from .targets import Target
from .told import Told

_SAMPLES: Final = 10
_NOT_EXECUTED: Final = frozenset(
    {"unavailable", "overloaded", "rate_limited", "cancelled", "storage_error", "internal_error"}
)
"""Errors of the moment: nothing was done for such a message, or nobody knows. Where something was,
its sender's next attempt is in the log too, with the answer."""
_INTERNAL: Final = "$"
"""How the names of collections begin that are changed by more than messages."""
_NOT_TO_REPEAT: Final = DEAD_LETTER_ACTIONS
"""They are about what lies on the broker now."""


class ReplayError(Exception):
    """The replay cannot go on; the text names the line."""


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
        self._batch = Batch()
        self._timed = False
        self._known: set[str] = set()
        self._began: tuple[float, datetime] | None = None

    async def run(self, entries: Iterable[LogEntry | BadLine]) -> Report:
        """Replay everything, in the order of execution where the lines tell it, else in theirs.

        Raises:
            ReplayError: there was no answer.
            LaterVersionError: from reading the entries.
        """
        report = self._report = Report(found=await self._existing())
        started = monotonic()
        for entry in in_order(without_repeats(entries, self._repeated)):
            if isinstance(entry, BadLine):
                self._broken(entry)
            elif (reason := _reason_to_withhold(entry)) is not None:
                report.withheld[reason] += 1
                self._progressed(entry.size)
            else:
                if not self._batch.fits(entry):
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

    # -- sending -------------------------------------------------------------------------------

    def _add(self, entry: LogEntry) -> None:
        self._batch.add(entry)
        self._timed = self._timed or entry.timed
        self._note_beginnings(entry)

    async def _keep_pace(self, at: datetime, speed: float) -> None:
        if self._began is None:
            self._began = (monotonic(), at)
        began, first = self._began
        wait = began + (at - first).total_seconds() / speed - monotonic()
        if wait > 0:
            await self._flush()
            await asyncio.sleep(wait)

    async def _flush(self) -> None:
        batch = self._batch.take()
        if not batch:
            return
        first = batch[0].exchange
        messages = [_as_executed(entry) for entry in batch]
        try:
            answers = await self._target.send(first.agent, messages, moment_of(batch))
        except NoRouteError:
            self._report.skipped[first.agent] += len(batch)
        except HoldfastError as error:
            raise ReplayError(f"line {batch[0].number}: {error}") from error
        else:
            for entry, answer in zip(batch, answers, strict=True):
                self._answered(entry, answer)
        self._progressed(sum(entry.size for entry in batch))

    # -- the report ----------------------------------------------------------------------------

    def _answered(self, entry: LogEntry, answer: Told) -> None:
        report = self._report
        report.replayed += 1
        report.outcomes[answer.error_type or answer.status] += 1
        if self._comparison is None:
            return
        report.compared += 1
        exchange = entry.exchange
        found = self._comparison.differences(
            exchange.message.action,
            exchange.response,
            answer,
            first_told=entry.stands_for_original,
        )
        if not found:
            return
        report.differing += 1
        if len(report.samples) < self._samples:
            cause = hint(exchange, answer, found, report, timed=self._timed)
            message = exchange.message
            report.samples.append(
                Divergence(entry.number, message.id, message.action, found, exchange.agent, cause)
            )

    def _note_beginnings(self, entry: LogEntry) -> None:
        """Of a collection whose first line tells a later change than the first, what was before
        is missing."""
        order = entry.exchange.extra.get("order")
        if not isinstance(order, dict) or self._known.issuperset(order):
            return
        for collection, (sequence, rank) in places_of(entry).items():
            if collection in self._known or collection.startswith(_INTERNAL):
                continue
            self._known.add(collection)
            made = _changes_at_most(entry) if rank == CHANGE else 0
            if sequence > made:
                self._report.begins_late[collection] = sequence

    def _repeated(self, entry: LogEntry) -> None:
        self._report.repeats += 1
        self._progressed(entry.size)

    def _broken(self, line: BadLine) -> None:
        self._report.broken += 1
        if len(self._report.bad_lines) < self._samples:
            self._report.bad_lines.append(line)
        self._progressed(line.size)

    def _progressed(self, size: int) -> None:
        if self._on_progress is not None:
            self._on_progress(size)


def _as_executed(entry: LogEntry) -> AgentMessage:
    """The message; without its deadline, when it was executed before that."""
    message = entry.exchange.message
    if message.deadline is None or entry.exchange.response.error_type == "expired":
        return message
    return message.model_copy(update={"deadline": None})


def _reason_to_withhold(entry: LogEntry) -> str | None:
    error_type = entry.exchange.response.error_type
    if error_type in _NOT_EXECUTED:
        return error_type
    action = entry.exchange.message.action
    return action if action in _NOT_TO_REPEAT else None


def _changes_at_most(entry: LogEntry) -> int:
    operations = entry.exchange.message.payload.get("operations")
    return len(operations) if isinstance(operations, list) else 1


def _counts(result: JsonValue) -> Iterable[tuple[str, int]]:
    for item in result if isinstance(result, list) else ():
        if isinstance(item, dict):
            name, count = item.get("collection"), item.get("count")
            if isinstance(name, str) and isinstance(count, int) and count:
                yield name, count
