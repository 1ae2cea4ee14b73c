"""Several storage operations in one message, executed in order."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Self, Unpack

from holdfast_protocol.client.composing import CallOptions
from holdfast_protocol.client.payloads import RecordId, present, save_payload, update_payload
from holdfast_protocol.client.records import Outcome


class Batch:
    """Operations that are collected, and executed together by `run`.

        outcomes = await client.storage.batch().save(task).delete(7).run()

    Each adding method returns the batch itself.
    """

    def __init__(
        self, execute: Callable[[list[dict[str, object]], CallOptions], Awaitable[list[Outcome]]]
    ) -> None:
        self._execute = execute
        self._operations: list[dict[str, object]] = []

    def __len__(self) -> int:
        return len(self._operations)

    def save(
        self,
        document: Mapping[str, object],
        *,
        collection: str | None = None,
        if_version: int | None = None,
        ttl_seconds: float | None = None,
    ) -> Self:
        """Create or replace a record; see `StorageClient.save`."""
        payload = save_payload(document, collection, if_version, ttl_seconds)
        return self.add("storage_save", payload)

    def get(self, record_id: RecordId, *, collection: str | None = None) -> Self:
        """Read one record."""
        return self.add("storage_get", present(task_id=record_id, collection=collection))

    def update(
        self,
        record_id: RecordId,
        changes: Mapping[str, object] | None = None,
        *,
        increment: Mapping[str, int | float] | None = None,
        append: Mapping[str, Sequence[object]] | None = None,
        collection: str | None = None,
        if_version: int | None = None,
    ) -> Self:
        """Change a record in place; see `StorageClient.update`."""
        payload = update_payload(record_id, changes, increment, append, collection, if_version)
        return self.add("storage_update", payload)

    def delete(
        self,
        record_id: RecordId,
        *,
        collection: str | None = None,
        if_version: int | None = None,
    ) -> Self:
        """Delete one record."""
        payload = present(task_id=record_id, collection=collection, if_version=if_version)
        return self.add("storage_delete", payload)

    def add(self, action: str, payload: Mapping[str, object] | None = None) -> Self:
        """Any other storage action that may stand in a batch, e.g. `storage_count`."""
        self._operations.append({"action": action, "payload": dict(payload or {})})
        return self

    async def run(self, **options: Unpack[CallOptions]) -> list[Outcome]:
        """Execute everything, in order; one outcome for each operation, in their order.

        Each call is another message, unless `message_id` says that it is the same.

        Raises:
            HoldfastError: the batch as a whole was refused; or it is atomic and an operation
                failed, so that nothing was changed: `details.index` tells which.
        """
        return await self._execute(list(self._operations), options)
