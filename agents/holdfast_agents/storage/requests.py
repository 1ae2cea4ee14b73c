"""From typed payloads to operations of the backend."""

from typing import TypeAlias

from holdfast_backends.errors import InvalidValueError, StorageError
from holdfast_backends.filters import parse_filter
from holdfast_backends.operations import (
    Collections,
    Count,
    Delete,
    Find,
    Get,
    Identity,
    Index,
    Save,
    Simple,
    Transaction,
    Update,
    parse_fields,
    parse_sort,
)
from holdfast_protocol.actions import (
    Payload,
    StorageBatch,
    StorageCollections,
    StorageCount,
    StorageDelete,
    StorageGet,
    StorageIndex,
    StorageList,
    StorageQuery,
    StorageSave,
    StorageUpdate,
    batch_writes,
    parse_operation,
)
from holdfast_protocol.codec import payload_digest
from holdfast_protocol.errors import HoldfastError
from holdfast_protocol.messages import AgentMessage

from .results import of_batch, translated
from .work import BatchItem, StorageWork

_ANONYMOUS = "anonymous"


_Simple: TypeAlias = tuple[Simple, bool]


class Translator:
    """Makes operations of payloads. `response_limit` is in bytes."""

    def __init__(self, response_limit: int) -> None:
        self._limit = response_limit

    def work(self, message: AgentMessage, payload: Payload) -> StorageWork:
        """What a message asks for.

        Raises:
            HoldfastError: it is refused, with the place named in `details`.
        """
        try:
            match payload:
                case StorageBatch():
                    return self._batch(message, payload)
                case StorageIndex(collection=collection, paths=paths):
                    chosen = None if paths is None else tuple(paths)
                    return StorageWork(Index(collection, chosen))
                case _:
                    operation, with_meta = self._simple(payload, message)
                    return StorageWork(operation, with_meta)
        except StorageError as error:
            raise translated(error) from None

    def _simple(self, payload: Payload, message: AgentMessage | None) -> _Simple:
        """An operation that may stand in a batch; there it has no identity of its own."""
        match payload:
            case StorageSave():
                return self._save(payload, message), False
            case StorageGet():
                return Get(payload.record_id, payload.collection), False
            case StorageUpdate():
                return self._update(payload, message), False
            case StorageDelete():
                identity = _identity(message)
                record_id, version = payload.record_id, payload.if_version
                return Delete(record_id, payload.collection, version, identity), False
            case StorageQuery():
                return self._query(payload), payload.with_meta
            case StorageList():
                return self._list(payload), payload.with_meta
            case StorageCount():
                return Count(payload.collection, parse_filter(payload.filters)), False
            case StorageCollections():
                return Collections(), False
            case _:
                raise TypeError(f"no operation for {type(payload).__name__}")

    def _save(self, payload: StorageSave, message: AgentMessage | None) -> Save:
        try:
            return Save(
                payload.document,
                payload.collection,
                payload.if_version,
                payload.ttl_seconds,
                _identity(message),
            )
        except InvalidValueError as error:
            if error.loc[:1] != ("document",):
                raise
            name = "task" if payload.task is not None else "record"
            raise InvalidValueError(error.message, (name, *error.loc[1:])) from None

    def _update(self, payload: StorageUpdate, message: AgentMessage | None) -> Update:
        return Update(
            payload.record_id,
            payload.changes,
            payload.increment,
            payload.append,
            payload.collection,
            payload.if_version,
            _identity(message),
        )

    def _list(self, payload: StorageList) -> Find:
        return Find(
            payload.collection,
            limit=payload.limit,
            cursor=payload.cursor,
            max_bytes=self._limit,
            with_meta=payload.with_meta,
        )

    def _query(self, payload: StorageQuery) -> Find:
        return Find(
            payload.collection,
            parse_filter(payload.filters),
            parse_sort(payload.sort),
            parse_fields(payload.fields_),
            payload.limit,
            payload.cursor,
            self._limit,
            payload.with_meta,
            "query",
        )

    def _batch(self, message: AgentMessage, batch: StorageBatch) -> StorageWork:
        operations: list[Simple] = []
        items: list[BatchItem] = []
        for index in range(len(batch.operations)):
            try:
                operation, with_meta = self._of_batch(batch, index)
            except HoldfastError as error:
                if batch.atomic:
                    raise of_batch(error, index) from None
                items.append(BatchItem(error=error))
                continue
            operations.append(operation)
            items.append(BatchItem(with_meta))
        if not operations:
            return StorageWork(None, items=tuple(items))
        identity = _identity(message) if batch_writes(batch) else None
        transaction = Transaction(tuple(operations), batch.atomic, self._limit, identity)
        return StorageWork(transaction, items=tuple(items))

    def _of_batch(self, batch: StorageBatch, index: int) -> _Simple:
        parsed = parse_operation(batch, index)
        try:
            return self._simple(parsed.payload, None)
        except StorageError as error:
            raise translated(error) from None


def _identity(message: AgentMessage | None) -> Identity | None:
    if message is None:
        return None
    digest = payload_digest(message.action, message.payload)
    return Identity(message.sender or _ANONYMOUS, message.id, digest)
