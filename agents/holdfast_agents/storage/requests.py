"""From typed payloads to operations of the backend."""

from dataclasses import replace
from typing import TypeAlias

from holdfast_backends.errors import InvalidValueError, StorageError
from holdfast_backends.filters import parse_filter
from holdfast_backends.operations import (
    Acquire,
    Collections,
    Count,
    Delete,
    Fence,
    Find,
    Get,
    Identity,
    Index,
    Inspect,
    LockOperation,
    Release,
    Renew,
    Save,
    Simple,
    Transaction,
    Update,
    parse_fields,
    parse_sort,
)
from holdfast_protocol.actions import Fence as ProtocolFence
from holdfast_protocol.actions import (
    LockAcquire,
    LockGet,
    LockRelease,
    LockRenew,
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
from holdfast_protocol.times import to_micros

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
                case LockAcquire() | LockRenew() | LockRelease() | LockGet():
                    return StorageWork(_lock(payload, message))
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
                fence = _fence(payload.fence)
                return Delete(record_id, payload.collection, version, identity, fence), False
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
                _fence(payload.fence),
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
            _fence(payload.fence),
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
        fence = _fence(batch.fence)
        transaction = Transaction(tuple(operations), batch.atomic, self._limit, identity, fence)
        return StorageWork(transaction, items=tuple(items))

    def _of_batch(self, batch: StorageBatch, index: int) -> _Simple:
        parsed = parse_operation(batch, index)
        try:
            return self._simple(parsed.payload, None)
        except StorageError as error:
            raise translated(error) from None


def marked(
    work: StorageWork, *, cancelled: bool = False, deadline: int | None = None
) -> StorageWork | None:
    """The work with this said of its identity, by which is found out whether it was executed
    before; None where it has none."""
    match work.operation:
        case (
            Save(identity=Identity() as identity)
            | Update(identity=Identity() as identity)
            | Delete(identity=Identity() as identity)
            | Transaction(identity=Identity() as identity)
            | Acquire(identity=Identity() as identity)
            | Renew(identity=Identity() as identity)
            | Release(identity=Identity() as identity)
        ) as operation:
            said = replace(identity, cancelled=cancelled, deadline=deadline)
            return replace(work, operation=replace(operation, identity=said))
        case _:
            return None


def _identity(message: AgentMessage | None) -> Identity | None:
    if message is None:
        return None
    digest = payload_digest(message.action, message.payload)
    deadline = None if message.deadline is None else to_micros(message.deadline)
    return Identity(message.sender or _ANONYMOUS, message.id, digest, deadline)


def _fence(fence: ProtocolFence | None) -> Fence | None:
    return None if fence is None else Fence(fence.lock, fence.token)


def _lock(
    payload: LockAcquire | LockRenew | LockRelease | LockGet, message: AgentMessage
) -> LockOperation:
    identity = _identity(message)
    match payload:
        case LockAcquire(name=name, lease_seconds=seconds, owner=owner):
            return Acquire(name, owner or message.sender or _ANONYMOUS, seconds, identity)
        case LockRenew(name=name, token=token, lease_seconds=seconds):
            return Renew(name, token, seconds, identity)
        case LockRelease(name=name, token=token):
            return Release(name, token, identity)
        case LockGet(name=name):
            return Inspect(name)
