"""A collection's changes once more, in their order, on a model of its own."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from tests.chaos.checks.ledger import Book, Event, Ledger
from tests.chaos.checks.promises import LINEARIZABLE, ONE_EFFECT, UNIQUE_IDS, VERSIONS
from tests.chaos.checks.rules import NOTHING, Document, RefusedError, State, applied, same
from tests.chaos.checks.steps import WRITES, Step, steps_of
from tests.chaos.history import Violation

Id: TypeAlias = int | str
Look: TypeAlias = Callable[["Replay", int], Iterator[Violation]]


class Replay:
    """The states of a collection's records.

    After a violation the model goes on from what was answered, so that each is told once.

    Args:
        states: each record that ever was, as it is now.
        live: the documents of those that are there.
        past: the states of each record, and the sequences from which they held.
    """

    def __init__(self, book: Book) -> None:
        self.book = book
        self.states: dict[Id, State] = {}
        self.live: dict[Id, dict[str, Any]] = {}
        self.past: dict[Id, tuple[list[int], list[State]]] = defaultdict(lambda: ([0], [NOTHING]))
        self._last_id = 0

    def run(self, ledger: Ledger, look: Look) -> Iterator[Violation]:
        """All changes; `look` is given each moment between them."""
        yield from look(self, 0)
        for sequence in range(1, self.book.last + 1):
            event = self.book.events.get(sequence)
            step = _maker(self.book, sequence, event)
            if step is not None:
                yield from self._told(sequence, step)
            elif event is not None:
                yield from self._only_event(sequence, event, ledger)
            yield from look(self, sequence)

    def at(self, record_id: Id, sequence: int) -> State:
        """A record after a change of the collection."""
        sequences, states = self.past[record_id]
        return states[bisect_right(sequences, sequence) - 1]

    def between(self, record_id: Id, first: int, last: int) -> list[State]:
        """The states of a record after one change, up to that after another."""
        sequences, states = self.past[record_id]
        return states[bisect_right(sequences, first) - 1 : bisect_right(sequences, last)]

    def _told(self, sequence: int, step: Step) -> Iterator[Violation]:
        assert step.outcome is not None
        document: Document = step.outcome["result"]
        record_id: Id = document["id"]
        where = f"{self.book.name}/{sequence} {step}"
        given = step.record_id
        if given is None:
            yield from self._new_id(where, record_id)
        elif given != record_id:
            yield Violation(LINEARIZABLE, f"{where}: answered with record {record_id!r}")
        before = self.states.get(record_id, NOTHING)
        version: int = step.outcome["meta"]["version"]
        try:
            after = applied(step, before, record_id)
        except RefusedError as error:
            yield Violation(LINEARIZABLE, f"{where}: succeeded; it is {error} at {before}")
            after = State(document, version)
        if version != after.version:
            text = f"{where}: version {version} after {before.version}"
            yield Violation(VERSIONS, text)
        yield from _answer(where, step, before, after)
        kept = None if after.document is None else document
        self._keep(sequence, record_id, State(kept, version))

    def _new_id(self, where: str, record_id: Id) -> Iterator[Violation]:
        if record_id in self.past:
            yield Violation(UNIQUE_IDS, f"{where}: {record_id!r} was used before")
        elif record_id != self._last_id + 1:
            yield Violation(UNIQUE_IDS, f"{where}: {record_id!r} after {self._last_id}")

    def _only_event(self, sequence: int, event: Event, ledger: Ledger) -> Iterator[Violation]:
        """A change that was told to nobody: right for a message without an answer."""
        exchange = ledger.by_id.get(event["message_id"])
        if exchange is not None and exchange.answer is not None:
            said = exchange.answer.get("error_type") or "success"
            text = f"{event['id']}: an effect of {event['message_id']} beyond its answer ({said})"
            yield Violation(ONE_EFFECT, text)
        document = None if event["kind"] == "deleted" else event["document"]
        state = State(document, event["version"])
        if exchange is not None and exchange.message["action"] in WRITES:
            yield from self._as_asked(event, state, *steps_of(exchange))
        self._keep(sequence, event["record_id"], state)

    def _as_asked(self, event: Event, state: State, step: Step) -> Iterator[Violation]:
        """Whether a change without an answer is what its message asked for."""
        record_id: Id = event["record_id"]
        if step.record_id is None:
            yield from self._new_id(f"{event['id']} {step}", record_id)
        try:
            asked = applied(step, self.states.get(record_id, NOTHING), record_id)
        except RefusedError as error:
            yield Violation(ONE_EFFECT, f"{event['id']}: made by {step}, which is {error}")
            return
        is_about = step.record_id in (None, record_id) and step.collection == self.book.name
        is_equal = asked.version == state.version and same(asked.document, state.document)
        if not (is_about and is_equal):
            yield Violation(ONE_EFFECT, f"{event['id']}: {state}; {step} asked for {asked}")

    def _keep(self, sequence: int, record_id: Id, state: State) -> None:
        if isinstance(record_id, int):
            self._last_id = max(self._last_id, record_id)
        self.states[record_id] = state
        if state.document is None:
            self.live.pop(record_id, None)
        else:
            self.live[record_id] = dict(state.document)
        sequences, states = self.past[record_id]
        sequences.append(sequence)
        states.append(state)


def _maker(book: Book, sequence: int, event: Event | None) -> Step | None:
    """Who made a change; where two were told so, the one that the event names."""
    steps = book.told.get(sequence, [])
    for step in steps:
        if event is not None and step.exchange.message["id"] == event["message_id"]:
            return step
    return steps[0] if steps else None


def _answer(where: str, step: Step, before: State, after: State) -> Iterator[Violation]:
    """Whether the answer tells the record as the change left it, or as it was before it went."""
    assert step.outcome is not None
    expected = before.document if after.document is None else after.document
    if not same(step.outcome["result"], expected):
        text = f"{where}: answered {step.outcome['result']}; it is {expected}"
        yield Violation(LINEARIZABLE, text)
    created = step.outcome["meta"].get("created")
    if step.action == "storage_save" and created is not (before.document is None):
        yield Violation(LINEARIZABLE, f"{where}: created is {created}; it was {before}")
