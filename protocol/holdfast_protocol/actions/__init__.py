"""Typed payloads and results of every action, and the table of them."""

from .batch import MAX_OPERATIONS, BatchOperation, StorageBatch
from .common import (
    ActionDescription,
    AgentDescribe,
    AgentPing,
    AgentStats,
    Description,
    Pong,
    Statistics,
)
from .operations import (
    BATCH_ACTIONS,
    ParsedOperation,
    batch_writes,
    parse_operation,
)
from .payload import DEFAULT_COLLECTION, CollectionPayload, Payload
from .registry import ACTIONS, COMMON_ACTIONS, STORAGE_ACTIONS, ActionSpec, parse_payload
from .results import CollectionCount, Document, Documents, IndexState, OperationOutcome
from .storage import (
    StorageCollections,
    StorageCount,
    StorageDelete,
    StorageGet,
    StorageIndex,
    StorageList,
    StorageQuery,
    StorageSave,
    StorageUpdate,
)

__all__ = [
    "ACTIONS",
    "BATCH_ACTIONS",
    "COMMON_ACTIONS",
    "DEFAULT_COLLECTION",
    "MAX_OPERATIONS",
    "STORAGE_ACTIONS",
    "ActionDescription",
    "ActionSpec",
    "AgentDescribe",
    "AgentPing",
    "AgentStats",
    "BatchOperation",
    "CollectionCount",
    "CollectionPayload",
    "Description",
    "Document",
    "Documents",
    "IndexState",
    "OperationOutcome",
    "ParsedOperation",
    "Payload",
    "Pong",
    "Statistics",
    "StorageBatch",
    "StorageCollections",
    "StorageCount",
    "StorageDelete",
    "StorageGet",
    "StorageIndex",
    "StorageList",
    "StorageQuery",
    "StorageSave",
    "StorageUpdate",
    "batch_writes",
    "parse_operation",
    "parse_payload",
]
