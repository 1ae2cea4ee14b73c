"""Comparing outcomes: of backends with each other, and of a backend with the model."""

from typing import Any

from holdfast_backends.outcomes import (
    Batched,
    CollectionCounts,
    Counted,
    Failed,
    Found,
    IndexState,
    Leased,
    Outcome,
    Page,
    Record,
    Saved,
)
from tests.conformance.differential.asks import Ask
from tests.conformance.differential.leases import Lease
from tests.conformance.differential.model import Entry
from tests.conformance.differential.naive import project, spelled
from tests.conformance.differential.words import Answer


def projected(outcome: Outcome) -> Any:
    """What must be the same on every backend: everything, but for how far an index is built."""
    match outcome:
        case Failed(error, index, replayed):
            details, sequence = spelled(error.details), outcome.sequence
            return "failed", type(error), error.message, details, index, replayed, sequence
        case Batched(outcomes, replayed):
            return "batch", tuple(map(projected, outcomes)), replayed
        case IndexState(paths):
            return "index", paths
        case Page(sequence=sequence) | Counted(sequence=sequence):
            return outcome, sequence
        case CollectionCounts(_counts, sequences):
            return outcome, sequences
        case _:
            return outcome


def disagreement(ask: Ask, answer: Answer, outcome: Outcome) -> str | None:
    """How an outcome differs from the model's answer, or None."""
    if answer[0] == "replayed":
        return _disagreement(ask, answer[1], outcome, replayed=True)
    return _disagreement(ask, answer, outcome, replayed=False)


def _disagreement(ask: Ask, answer: Answer, outcome: Outcome, *, replayed: bool) -> str | None:
    if getattr(outcome, "replayed", replayed) != replayed:
        return f"replayed should be {replayed}"
    match answer, outcome:
        case ("saved", entry, created), Saved(record):
            return "created" if outcome.created != created else _of_record(entry, record)
        case ("found", entry), Found(record):
            return _of_record(entry, record)
        case ("leased", lease), Leased():
            return _of_lease(lease, outcome)
        case ("page", entries), Page():
            return _of_page(ask, entries, outcome)
        case ("count", number), Counted(counted):
            return None if counted == number else f"the count should be {number}"
        case ("collections", counts), CollectionCounts(listed):
            return None if listed == counts else f"the collections should be {counts}"
        case ("index", paths), IndexState(declared):
            return None if declared == paths else f"the paths should be {paths}"
        case ("batch", answers), Batched(outcomes):
            return _of_batch(ask, answers, outcomes)
        case ("failed", kind, facts, index), Failed() as failed:
            return _of_failure(kind, facts, index, failed)
        case _:
            return f"should be {answer}"


def _of_record(entry: Entry, record: Record) -> str | None:
    theirs = (record.version, record.created_at, record.updated_at, record.expires_at)
    ours = (entry.version, entry.created_at, entry.updated_at, entry.expires_at)
    if theirs != ours:
        return f"version and instants should be {ours}"
    if record.id != entry.document["id"] and "id" in entry.document:
        return "another record"
    if spelled(record.value) != spelled(entry.document):
        return f"the document should be {spelled(entry.document)}"
    return None


def _of_lease(lease: Lease, leased: Leased) -> str | None:
    ours = (lease.name, lease.owner, lease.token, lease.acquired_at, lease.expires_at)
    return None if leased[:5] == ours else f"the lease should be {ours}"


def _of_page(ask: Ask, entries: tuple[Entry, ...], page: Page) -> str | None:
    limit = ask.args["limit"] or len(entries)
    size = len(page.records)
    if ask.args["max_bytes"] is None and size != min(limit, len(entries)):
        return f"should hold {min(limit, len(entries))} records"
    if size > min(limit, len(entries)) or (entries and not size):
        return f"should hold 1 to {min(limit, len(entries))} records"
    if (page.next_cursor is None) != (size == len(entries)):
        return "the cursor"
    ids = [entry.document["id"] for entry in entries]
    if [record.id for record in page.records] != ids[:size]:
        return f"the ids should begin with {ids[:size]}"
    fields = ask.args["fields"]
    for entry, record in zip(entries, page.records, strict=False):
        difference = _of_record(entry if fields is None else _kept(entry, fields), record)
        if difference is not None:
            return f"record {record.id!r}: {difference}"
    return None


def _kept(entry: Entry, fields: list[str]) -> Entry:
    document = project(entry.document, fields)
    return Entry(document, entry.version, entry.created_at, entry.updated_at, entry.expires_at)


def _of_batch(ask: Ask, answers: tuple[Answer, ...], outcomes: tuple[Outcome, ...]) -> str | None:
    if len(outcomes) != len(answers):
        return f"should hold {len(answers)} outcomes"
    for place, (inner, answer, outcome) in enumerate(
        zip(ask.inner, answers, outcomes, strict=True)
    ):
        # An outcome inside a replayed batch says nothing of itself about that.
        difference = _disagreement(
            inner, answer, outcome, replayed=getattr(outcome, "replayed", False)
        )
        if difference is not None:
            return f"outcome {place}: {difference}"
    return None


_DETAILS = {"current_version", "current_token", "owner"}


def _of_failure(kind: str, facts: dict[str, Any], index: int | None, failed: Failed) -> str | None:
    if (failed.error.error_type, failed.index) != (kind, index):
        return f"should be {kind} at {index}"
    if facts.keys() & _DETAILS and failed.error.details != facts:
        return f"the details should be {facts}"
    if "record_id" in facts:
        record_id, collection = facts["record_id"], facts["collection"]
        name = "Task with ID" if collection == "tasks" else f"{collection} record"
        if failed.error.message != f"{name} {record_id} not found":
            return "the message"
    return None
