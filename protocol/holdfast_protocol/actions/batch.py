"""The payload of `storage_batch`, and how its operations are read.

Source: the wire contract, sections 6 and 10 "Batches of operations".
"""

from typing import Annotated, Final

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from holdfast_protocol.fields import Flag, JsonObject, NullMeans, Text, placed_error
from holdfast_protocol.validation import MANY_FIELDS

from .locks import GivenFence
from .payload import CollectionPayload, Payload

MAX_OPERATIONS: Final = 1_000


def _bounded(operations: object) -> object:
    if isinstance(operations, list):
        if not operations:
            raise PydanticCustomError("explained", "must hold at least one operation")
        if len(operations) > MAX_OPERATIONS:
            raise PydanticCustomError("too_large", "must hold at most 1000 operations")
        for index, operation in enumerate(operations):
            if isinstance(operation, dict) and len(operation) > MANY_FIELDS:
                raise placed_error("has unknown fields", index)
    return operations


class BatchOperation(Payload):
    """One operation as it came: its action and payload are read by `parse_operation`."""

    action: Text
    payload: Annotated[JsonObject, NullMeans(dict)] = Field(default_factory=dict)


class StorageBatch(CollectionPayload):
    """Execute operations in order, all or nothing unless `atomic` is false.

    `collection` is the default of the operations that name none; `fence` holds for all of them.
    """

    operations: Annotated[
        list[BatchOperation],
        BeforeValidator(_bounded),
        Field(json_schema_extra={"minItems": 1, "maxItems": MAX_OPERATIONS}),
    ]
    atomic: Annotated[Flag, NullMeans(lambda: True)] = True
    fence: GivenFence | None = None
