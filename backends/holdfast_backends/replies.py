"""Outcomes as bytes, kept with a write's identity and answered again to a duplicate.

A saved document is not kept a second time: the duplicate carries the same payload (its digest
says so), so its document together with the kept id gives the first answer again.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final, TypeAlias

from .errors import (
    ConflictError,
    InvalidValueError,
    LockNotHeldError,
    RequestCancelledError,
    StorageError,
    TaskNotFoundError,
    TooLargeError,
)
from .operations import Operation, Save, Transaction
from .outcomes import (
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
from .values import JsonObject, JsonValue, RecordId, decode_json, encode_json

Stored: TypeAlias = list[JsonValue]


def saved_document(operation: Save, record_id: RecordId) -> bytes:
    """A document's bytes as they are kept: its id first, the rest in the order given."""
    encoded = operation.encoded
    if operation.document.get("id") is not None:
        return encoded
    head = b'{"id":%d' % record_id if isinstance(record_id, int) else b""
    return head + b"}" if encoded == b"{}" else head + b"," + encoded[1:]


def encode_outcome(outcome: Outcome) -> bytes:
    """The bytes to keep of an outcome."""
    if isinstance(outcome, Saved):
        # The same text as the encoder's, for what most outcomes are.
        key, version, _document, made, changed, expires = outcome.record
        tail = "true" if outcome.created else "false"
        until = "null" if expires is None else expires
        facts = f'"{key.hex()}",{version},{made},{changed},{until}'
        return f'["saved",{facts},{tail},{outcome.sequence}]'.encode()
    return encode_json(_stored(outcome))


def decode_outcome(text: bytes, operation: Operation) -> Outcome:
    """The outcome kept for an operation, as a replay of it."""
    stored = decode_json(text)
    outcome = _restored(stored, operation)
    match outcome:
        case Saved() | Found() | Leased():
            return outcome._replace(replayed=True)
        case Batched() | Failed():
            return replace(outcome, replayed=True)
        case _:
            return outcome


def _stored(outcome: Outcome) -> Stored:
    match outcome:
        case Saved(record, created, sequence=sequence):
            return ["saved", *_facts(record), created, sequence]
        case Found(record, sequence=sequence):
            return ["found", *_whole(record), sequence]
        case Failed(error, index, sequence=sequence):
            return ["failed", *_error(error), index, sequence]
        case Leased(name, owner, token, acquired_at, expires_at, sequence=sequence):
            return ["leased", name, owner, token, acquired_at, expires_at, sequence]
        case Batched(outcomes):
            return ["batched", [_stored(inner) for inner in outcomes]]
        case Page(records, next_cursor, sequence=sequence):
            return ["page", [_whole(record) for record in records], next_cursor, sequence]
        case Counted(count, sequence):
            return ["counted", count, sequence]
        case CollectionCounts(counts):
            return ["collections", [[name, count] for name, count in counts]]
        case IndexState(paths, ready):
            return ["index", list(paths), ready]


def _facts(record: Record) -> Stored:
    instants: Stored = [record.created_at, record.updated_at, record.expires_at]
    return [record.key.hex(), record.version, *instants]


def _whole(record: Record) -> Stored:
    return [*_facts(record), record.document.decode()]


def _error(error: StorageError) -> Stored:
    subject: Stored = []
    if isinstance(error, TaskNotFoundError):
        subject = [error.task_id, error.collection]
    return [error.error_type, error.message, error.details, subject]


def _restored(stored: JsonValue, operation: Operation) -> Outcome:
    match stored:
        case ["saved", str(key), int(version), int(made), int(changed), expires, *rest]:
            assert isinstance(operation, Save)  # noqa: S101 — the digest is of this action
            record = _record(b"", key, version, made, changed, expires)
            document = saved_document(operation, record.id)
            record = _record(document, key, version, made, changed, expires)
            return Saved(record, rest[:1] == [True], sequence=_sequence(rest[1:]))
        case ["found", *whole]:
            return Found(_whole_record(whole[:6]), sequence=_sequence(whole[6:]))
        case ["failed", str(kind), str(message), dict(details), list(subject), index, *rest]:
            position = index if isinstance(index, int) else None
            error = _restored_error(kind, message, details, subject)
            return Failed(error, position, sequence=_sequence(rest))
        case ["leased", str(name), str(owner), int(token), int(acquired), int(expires), *rest]:
            return Leased(name, owner, token, acquired, expires, sequence=_sequence(rest))
        case ["batched", list(inner)]:
            assert isinstance(operation, Transaction)  # noqa: S101 — the digest is of this action
            pairs = zip(inner, operation.operations, strict=True)
            return Batched(tuple(_restored(item, simple) for item, simple in pairs))
        case _:
            return _restored_read(stored)


def _sequence(rest: list[JsonValue]) -> int:
    """The sequence that stands last; what an earlier version kept has none."""
    match rest:
        case [int(sequence)]:
            return sequence
        case _:
            return 0


def _restored_read(stored: JsonValue) -> Outcome:
    match stored:
        case ["page", list(records), cursor, *rest]:
            text = cursor if isinstance(cursor, str) else None
            found = tuple(_whole_record(record) for record in records)
            return Page(found, text, sequence=_sequence(rest))
        case ["counted", int(count), *rest]:
            return Counted(count, _sequence(rest))
        case ["collections", list(counts)]:
            return CollectionCounts(tuple(_named_count(pair) for pair in counts))
        case _:
            raise StorageError("a stored reply cannot be read")


def _whole_record(stored: JsonValue) -> Record:
    match stored:
        case [str(key), int(version), int(made), int(changed), expires, str(document)]:
            return _record(document.encode(), key, version, made, changed, expires)
        case _:
            raise StorageError("a stored reply cannot be read")


def _record(
    document: bytes, key: str, version: int, made: int, changed: int, expires: JsonValue
) -> Record:
    expires_at = expires if isinstance(expires, int) else None
    return Record(bytes.fromhex(key), version, document, made, changed, expires_at)


def _named_count(stored: JsonValue) -> tuple[str, int]:
    match stored:
        case [str(name), int(count)]:
            return name, count
        case _:
            raise StorageError("a stored reply cannot be read")


_PLAIN_ERRORS: Final[dict[str, Callable[[str, JsonObject], StorageError]]] = {
    "cancelled": RequestCancelledError,
    "conflict": ConflictError,
    "not_found": LockNotHeldError,
    "too_large": TooLargeError,
}


def _restored_error(
    kind: str, message: str, details: JsonObject, subject: list[JsonValue]
) -> StorageError:
    match subject:
        case [int() | str() as task_id, str(collection)]:
            return TaskNotFoundError(task_id, collection)
        case _ if kind == "validation_error":
            error = InvalidValueError(message, _first_loc(details))
            error.details = details
            return error
        case _:
            return _PLAIN_ERRORS.get(kind, StorageError)(message, details)


def _first_loc(details: JsonObject) -> list[str | int]:
    match details:
        case {"errors": [{"loc": list(loc)}, *_]}:
            return [step for step in loc if isinstance(step, (str, int))]
        case _:
            return []
