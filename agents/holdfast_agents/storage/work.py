"""What the storage agent has to do for one message."""

from dataclasses import dataclass

from holdfast_backends.operations import Operation
from holdfast_protocol.errors import HoldfastError


@dataclass(frozen=True, slots=True)
class BatchItem:
    """One operation of a batch: where its outcome will stand, or the error it is already."""

    with_meta: bool = False
    error: HoldfastError | None = None


@dataclass(frozen=True, slots=True)
class StorageWork:
    """An operation, and how its outcome is to be told.

    Args:
        operation: what the backend executes; None when a batch holds nothing executable.
        with_meta: whether a page tells the facts of its records.
        items: of a batch, each operation in order.
    """

    operation: Operation | None
    with_meta: bool = False
    items: tuple[BatchItem, ...] = ()
