"""A history sorted for the checks: by collection, by sequence, by message."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from tests.chaos.checks.steps import WRITES, Step, steps_of
from tests.chaos.checks.timeline import Timeline, timeline_of
from tests.chaos.history import Exchange, History, Kept

Event = Mapping[str, Any]


@dataclass(slots=True)
class Book:
    """One collection.

    Args:
        told: the writes that were answered with a success, by the sequence of their change.
        reads: the reads that were, by the sequence they stand after.
        refused: what was answered with an error.
        events: what the store tells, by sequence; the first where one comes twice.
        timeline: when each change can have been committed.
    """

    name: str
    kept: Kept
    told: dict[int, list[Step]] = field(default_factory=lambda: defaultdict(list))
    reads: dict[int, list[Step]] = field(default_factory=lambda: defaultdict(list))
    refused: list[Step] = field(default_factory=list)
    events: dict[int, Event] = field(default_factory=dict)
    timeline: Timeline = field(default_factory=lambda: Timeline(0))

    @property
    def last(self) -> int:
        """The highest sequence that anybody knows of."""
        return max(max(self.told, default=0), max(self.events, default=0))


class Ledger:
    """A history, sorted. Made once, read by every check."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.by_id: dict[str, Exchange] = {}
        self.books = {name: Book(name, kept) for name, kept in history.kept.items()}
        self.batches: dict[str, list[Step]] = {}
        self.unknown: list[Step] = []
        for exchange in history.exchanges:
            self.by_id[exchange.message["id"]] = exchange
            self._enter(exchange)
        for book in self.books.values():
            for event in book.kept.events:
                book.events.setdefault(event["sequence"], event)
            book.timeline = self._timeline(book)

    @cached_property
    def events_of(self) -> Mapping[str, list[Event]]:
        """The events of each message that made some."""
        found: dict[str, list[Event]] = defaultdict(list)
        for book in self.books.values():
            for event in book.kept.events:
                if event["message_id"] is not None:
                    found[event["message_id"]].append(event)
        return found

    def _enter(self, exchange: Exchange) -> None:
        steps = list(steps_of(exchange))
        if exchange.message["action"] == "storage_batch":
            self.batches[exchange.message["id"]] = steps
        for step in steps:
            book = self.books.get(step.collection)
            if step.outcome is None:
                continue
            if book is None:
                self.unknown.append(step)
            elif not step.succeeded:
                book.refused.append(step)
            elif step.action in WRITES:
                book.told[step.sequence].append(step)
            else:
                book.reads[step.sequence].append(step)

    def _timeline(self, book: Book) -> Timeline:
        reads = (step for steps in book.reads.values() for step in steps)
        return timeline_of(book.last, self._makers(book), reads)

    def _makers(self, book: Book) -> Iterator[tuple[int, Exchange]]:
        """The changes with their messages: by the answers, else by the events."""
        for sequence, steps in book.told.items():
            for step in steps:
                yield sequence, step.exchange
        for sequence, event in book.events.items():
            exchange = self.by_id.get(event["message_id"])
            if sequence not in book.told and exchange is not None and exchange.answer is None:
                yield sequence, exchange
