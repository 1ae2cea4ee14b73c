"""Reading the operations of a batch. Source: wire contract, section 10 "Batches of operations"."""

from dataclasses import dataclass
from typing import Final

from pydantic import JsonValue

from holdfast_protocol.errors import HoldfastError, ValidationError
from holdfast_protocol.validation import problem

from .batch import BatchOperation, StorageBatch
from .payload import Payload
from .registry import ACTIONS, STORAGE_ACTIONS, ActionSpec, parse_payload

# Inside a batch stand plain storage actions: no batch in a batch, no index declaration.
BATCH_ACTIONS: Final = frozenset(STORAGE_ACTIONS) - {"storage_batch", "storage_index"}
_MAX_NAME: Final = 64
_WRITES: Final = frozenset(name for name in BATCH_ACTIONS if STORAGE_ACTIONS[name].writes)


@dataclass(frozen=True, slots=True)
class ParsedOperation:
    """One operation of a batch, ready to execute."""

    spec: ActionSpec
    payload: Payload


def batch_writes(batch: StorageBatch) -> bool:
    """Whether the batch has an identity: batches of reads only have none."""
    return any(operation.action in _WRITES for operation in batch.operations)


def parse_operation(batch: StorageBatch, index: int) -> ParsedOperation:
    """The typed form of one operation; the batch's `collection` is its default.

    Raises:
        ValidationError: not an action of a batch, or its payload is wrong.
    """
    operation = batch.operations[index]
    spec = _spec_of(operation)
    payload = operation.payload
    if payload.get("collection") is None:
        payload = {**payload, "collection": batch.collection}
    return ParsedOperation(spec, parse_payload(spec, payload))


def parse_operations(batch: StorageBatch) -> list[ParsedOperation | HoldfastError]:
    """Every operation, or what is wrong with it, in order.

    Raises:
        HoldfastError: the batch is atomic and an operation is wrong; the first one's error,
            with `details.index` and locations that begin with `operations` and the index.
    """
    return [_parse_or_error(batch, index) for index in range(len(batch.operations))]


def _parse_or_error(batch: StorageBatch, index: int) -> ParsedOperation | HoldfastError:
    try:
        return parse_operation(batch, index)
    except HoldfastError as error:
        if batch.atomic:
            raise _of_the_whole(error, index) from None
        return error


def _spec_of(operation: BatchOperation) -> ActionSpec:
    name = operation.action
    if name in BATCH_ACTIONS:
        return STORAGE_ACTIONS[name]
    text = f"{name} cannot stand in a batch"
    if name not in ACTIONS:
        text = f"Unknown action: {name[:_MAX_NAME]}"
    raise ValidationError(text, problem(["action"], "must be a storage action for a batch"))


def _of_the_whole(error: HoldfastError, index: int) -> HoldfastError:
    details: dict[str, JsonValue] = {"index": index}
    errors = error.details.get("errors")
    if isinstance(errors, list):
        details["errors"] = [_moved(entry, index) for entry in errors]
    return type(error)(f"Operation {index}: {error.message}", details)


def _moved(entry: JsonValue, index: int) -> JsonValue:
    if not isinstance(entry, dict) or not isinstance(loc := entry.get("loc"), list):
        return entry
    inside = loc if loc == ["action"] else ["payload", *loc]
    return {**entry, "loc": ["operations", index, *inside]}
