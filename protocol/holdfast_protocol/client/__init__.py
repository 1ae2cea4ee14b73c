"""The client: requests, answers, and typed helpers for the agents' actions."""

from holdfast_protocol.client.batches import Batch
from holdfast_protocol.client.client import AgentClient
from holdfast_protocol.client.composing import CallOptions, ReadOptions
from holdfast_protocol.client.dead_letters import DeadLettersClient
from holdfast_protocol.client.held_lock import HeldLock
from holdfast_protocol.client.locking import LocksClient
from holdfast_protocol.client.locks import LockContext
from holdfast_protocol.client.queries import Query
from holdfast_protocol.client.records import Outcome, Page, Record
from holdfast_protocol.client.storage import StorageClient
from holdfast_protocol.client.subscription import Subscription

__all__ = [
    "AgentClient",
    "Batch",
    "CallOptions",
    "DeadLettersClient",
    "HeldLock",
    "LockContext",
    "LocksClient",
    "Outcome",
    "Page",
    "Query",
    "ReadOptions",
    "Record",
    "StorageClient",
    "Subscription",
]
