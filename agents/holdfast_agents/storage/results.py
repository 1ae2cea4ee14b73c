"""From outcomes of the backend to results and errors of the wire contract."""

from collections.abc import Sequence
from functools import lru_cache

from pydantic import JsonValue

from holdfast_agents.base.answers import Result
from holdfast_agents.base.work import Done
from holdfast_backends.errors import StorageError
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
from holdfast_protocol.errors import HoldfastError, error_from
from holdfast_protocol.replies import RawJson, ReplyResult
from holdfast_protocol.times import format_micros

from .positions import positions
from .work import BatchItem, StorageWork


def translated(error: StorageError) -> HoldfastError:
    """A backend's error as what an agent answers."""
    return error_from(error.error_type, error.message, error.details)


def of_batch(error: HoldfastError, index: int) -> HoldfastError:
    """An operation's error as the whole batch's: it names the operation, and places below it."""
    details: dict[str, JsonValue] = {**error.details, "index": index}
    errors = error.details.get("errors")
    if isinstance(errors, list):
        details["errors"] = [_moved(entry, index) for entry in errors]
    return type(error)(error.message, details)


def _moved(entry: JsonValue, index: int) -> JsonValue:
    if not isinstance(entry, dict) or not isinstance(loc := entry.get("loc"), list):
        return entry
    inside: list[JsonValue] = loc if loc == ["action"] else ["payload", *loc]
    return {**entry, "loc": ["operations", index, *inside]}


def rendered(work: StorageWork, outcome: Outcome | None) -> Done[StorageWork]:
    """What became of a message's work."""
    if outcome is None:
        return Done(_batch_result(work.items, ()))
    places = positions(work.operation, outcome)
    match outcome:
        case Failed(error, index, replayed):
            failed = translated(error)
            return Done(failed if index is None else of_batch(failed, index), replayed, places)
        case Batched(outcomes, replayed):
            return Done(_batch_result(work.items, outcomes), replayed, places)
        case Saved(replayed=replayed) | Found(replayed=replayed) | Leased(replayed=replayed):
            return Done(_result(outcome, with_meta=False), replayed, places)
        case _:
            return Done(_result(outcome, with_meta=work.with_meta), positions=places)


def _result(outcome: Outcome, *, with_meta: bool) -> Result:
    match outcome:
        case Saved(record, created, sequence=sequence):
            facts = {**_facts(record), "created": created, "sequence": sequence}
            return Result(RawJson(record.document), facts)
        case Found(record, sequence=sequence):
            return Result(RawJson(record.document), {**_facts(record), "sequence": sequence})
        case Page(records, next_cursor, sequence=sequence):
            return _page(records, next_cursor, sequence, with_meta=with_meta)
        case Counted(count, sequence):
            return Result(count, {"sequence": sequence})
        case Leased():
            return _lock(outcome)
        case CollectionCounts(counts):
            listed: list[RawJson | JsonValue] = [
                {"collection": name, "count": count} for name, count in counts
            ]
            return Result(listed)
        case IndexState(paths, ready):
            return Result({"paths": list(paths), "ready": ready})
        case _:
            raise TypeError(f"{type(outcome).__name__} has no result of its own")


@lru_cache(maxsize=1024)
def _instant(micros: int) -> str:
    # The writes of a batch share their instant, and most reads see a few of them.
    return format_micros(micros)


def _facts(record: Record) -> dict[str, JsonValue]:
    facts: dict[str, JsonValue] = {
        "version": record.version,
        "created_at": _instant(record.created_at),
        "updated_at": _instant(record.updated_at),
    }
    if record.expires_at is not None:
        facts["expires_at"] = _instant(record.expires_at)
    return facts


def _lock(lease: Leased) -> Result:
    return Result(
        {
            "name": lease.name,
            "owner": lease.owner,
            "token": lease.token,
            "acquired_at": _instant(lease.acquired_at),
            "expires_at": _instant(lease.expires_at),
        }
    )


def _page(
    records: Sequence[Record], next_cursor: str | None, sequence: int, *, with_meta: bool
) -> Result:
    meta: dict[str, JsonValue] = {"next_cursor": next_cursor, "sequence": sequence}
    if with_meta:
        meta["records"] = [{"id": record.id, **_facts(record)} for record in records]
    documents: list[RawJson | JsonValue] = [RawJson(record.document) for record in records]
    return Result(documents, meta)


def _batch_result(items: Sequence[BatchItem], outcomes: Sequence[Outcome]) -> Result:
    executed = iter(outcomes)
    told: list[RawJson | JsonValue] = []
    for item in items:
        if item.error is not None:
            told.append(_told_error(item.error))
            continue
        outcome = next(executed)
        if isinstance(outcome, Failed):
            told.append(_told_error(translated(outcome.error)))
        else:
            told.append(_told(_result(outcome, with_meta=item.with_meta)))
    return Result(told)


def _told(result: Result) -> JsonValue:
    value: dict[str, ReplyResult] = {
        "status": "success",
        "result": result.value,
        "meta": dict(result.meta),
    }
    return value  # type: ignore[return-value]  # the codec splices what is encoded already


def _told_error(error: HoldfastError) -> JsonValue:
    return {
        "status": "error",
        "error": error.message,
        "error_type": error.error_type,
        "details": error.details,
    }
