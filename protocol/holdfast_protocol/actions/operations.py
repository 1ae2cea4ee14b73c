"""Reading the operations of a batch. Source: wire contract, section 10 "Batches of operations"."""

from dataclasses import dataclass
from typing import Final

from holdfast_protocol.errors import ValidationError
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


def _spec_of(operation: BatchOperation) -> ActionSpec:
    name = operation.action
    if name in BATCH_ACTIONS:
        return STORAGE_ACTIONS[name]
    text = f"{name} cannot stand in a batch"
    if name not in ACTIONS:
        text = f"Unknown action: {name[:_MAX_NAME]}"
    raise ValidationError(text, problem(["action"], "must be a storage action for a batch"))
