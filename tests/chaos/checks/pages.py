"""What lists, queries and counts told, against all records as they were after a change."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.chaos.checks.ledger import Book
from tests.chaos.checks.promises import LINEARIZABLE
from tests.chaos.checks.replay import Id, Replay
from tests.chaos.checks.rules import Document, same
from tests.chaos.checks.steps import Step
from tests.chaos.history import Violation
from tests.conformance.differential.naive import Place, comes_before, matches, place, project


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a cursor stands: behind a record, as it was after a change."""

    record_id: Id
    sequence: int


class Pages:
    """Judges the reads of many records while a collection is replayed."""

    def __init__(self, book: Book) -> None:
        self._marks: dict[str, Mark] = {}
        self._steps: dict[int, list[Step]] = {}
        for sequence, steps in book.reads.items():
            self._enter(sequence, steps)

    def at(self, replay: Replay, sequence: int) -> Iterator[Violation]:
        """The reads that stand right after a change, which the replay has just made."""
        for step in self._steps.get(sequence, ()):
            problem = self._problem(replay, step)
            if problem:
                yield Violation(LINEARIZABLE, f"{replay.book.name}/{sequence} {step}: {problem}")

    def _enter(self, sequence: int, steps: list[Step]) -> None:
        for step in steps:
            if step.action == "storage_get":
                continue
            self._steps.setdefault(sequence, []).append(step)
            assert step.outcome is not None
            cursor = step.outcome["meta"].get("next_cursor")
            if cursor is not None and step.outcome["result"]:
                mark = Mark(step.outcome["result"][-1]["id"], sequence)
                # The same place may be told again later, when its record was made anew: whoever
                # follows the cursor has it from a page before.
                self._marks[cursor] = min(mark, self._marks.get(cursor, mark), key=_moment)

    def _problem(self, replay: Replay, step: Step) -> str | None:
        assert step.outcome is not None
        filters = step.payload.get("filters") or {}
        result, meta = step.outcome["result"], step.outcome["meta"]
        live = replay.live.values()
        matching = [document for document in live if not filters or matches(filters, document)]
        if step.action == "storage_count":
            return None if result == len(matching) else f"{result}; it was {len(matching)}"
        cursor = step.payload.get("cursor")
        mark = None if cursor is None else self._marks.get(cursor)
        if cursor is not None and mark is None:
            return None  # of a page that was never answered
        following = _following(replay, step, matching, mark)
        if following is None:
            return None  # the page before told of a record that was not there: found there
        page = following[: step.payload.get("limit")]
        expected = [_shown(document, step.payload.get("fields")) for document in page]
        if not same(result, expected):
            return f"{result}; it was {expected}"
        if (meta["next_cursor"] is None) is not (len(page) == len(following)):
            return f"next_cursor {meta['next_cursor']} after {len(page)} of {len(following)}"
        told = [(facts["id"], facts["version"]) for facts in meta.get("records", ())]
        versions = [(document["id"], replay.states[document["id"]].version) for document in page]
        if step.payload.get("with_meta") and told != versions:
            return f"the facts {told}; they were {versions}"
        return None


def _moment(mark: Mark) -> int:
    return mark.sequence


def _following(
    replay: Replay, step: Step, matching: list[dict[str, Any]], mark: Mark | None
) -> list[dict[str, Any]] | None:
    """Those that match, in order, from behind the cursor on; None where its record never was."""
    sort = [(path, way == "desc") for path, way in step.payload.get("sort") or []]
    placed = [(place(document, sort), document) for document in matching]
    if mark is not None:
        last = replay.at(mark.record_id, mark.sequence).document
        if last is None:
            return None
        after = place(dict(last), sort)
        placed = [entry for entry in placed if comes_before(after, entry[0])]
    return [document for _place, document in _ordered(placed, len(sort))]


def _ordered(
    placed: list[tuple[Place, dict[str, Any]]], keys: int
) -> list[tuple[Place, dict[str, Any]]]:
    """By stable sorts, the last key first."""
    for number in range(keys, -1, -1) if placed else ():
        descending = placed[0][0][number][1]

        def rank(entry: tuple[Place, dict[str, Any]], number: int = number) -> Any:
            return entry[0][number][0]

        placed.sort(key=rank, reverse=descending)
    return placed


def _shown(document: dict[str, Any], fields: list[str] | None) -> Mapping[str, Any]:
    shown: Document = document if fields is None else project(document, fields)
    return shown
