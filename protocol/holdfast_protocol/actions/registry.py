"""The table of actions: what each takes, what it gives, whether it writes.

Source: the wire contract, section 6.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import pydantic
from pydantic import JsonValue, TypeAdapter

from holdfast_protocol.events import ChangeEvent
from holdfast_protocol.fields import JsonObject
from holdfast_protocol.validation import MANY_FIELDS, refusal_of, without_excess

from .batch import StorageBatch
from .common import AgentDescribe, AgentPing, AgentStats, Description, Pong, Statistics
from .dead_letters import (
    AgentDeadLetter,
    AgentDeadLetters,
    AgentDeadLettersPurge,
    AgentDeadLettersReplay,
    DeadLetter,
    DeadLetterDetail,
    DeadLettersPurged,
    DeadLettersReplayed,
)
from .events import CollectionPosition, StorageEvents, StoragePositions
from .locks import Lock, LockAcquire, LockGet, LockRelease, LockRenew
from .payload import Payload
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


@dataclass(frozen=True, slots=True)
class ActionSpec:
    """One action.

    `writes` tells whether a message of this action has an identity (one effect per sender and
    id). `storage_batch` writes only when an operation in it does; `storage_index` has no
    identity. `result` is whatever `pydantic.TypeAdapter` takes.
    """

    name: str
    payload: type[Payload]
    result: object
    writes: bool
    summary: str

    def payload_schema(self) -> dict[str, JsonValue]:
        """The JSON Schema of the payload."""
        return self.payload.model_json_schema(by_alias=True)

    def result_schema(self) -> dict[str, JsonValue]:
        """The JSON Schema of the result."""
        # A type kept as a value has no static form.
        adapter: TypeAdapter[object] = TypeAdapter(self.result)  # type: ignore[arg-type]
        return adapter.json_schema(mode="serialization")


def _table(*specs: ActionSpec) -> Mapping[str, ActionSpec]:
    return MappingProxyType({spec.name: spec for spec in specs})


COMMON_ACTIONS: Final = _table(
    ActionSpec("agent_ping", AgentPing, Pong, False, "Answer at once"),
    ActionSpec("agent_describe", AgentDescribe, Description, False, "List the actions"),
    ActionSpec("agent_stats", AgentStats, Statistics, False, "Tell the counters"),
)
STORAGE_ACTIONS: Final = _table(
    ActionSpec("storage_save", StorageSave, Document, True, "Create or replace a record"),
    ActionSpec("storage_get", StorageGet, Document, False, "Read one record"),
    ActionSpec("storage_update", StorageUpdate, Document, True, "Change a record in place"),
    ActionSpec("storage_delete", StorageDelete, Document, True, "Delete one record"),
    ActionSpec("storage_list", StorageList, Documents, False, "Read records in id order"),
    ActionSpec("storage_query", StorageQuery, Documents, False, "Read the records that match"),
    ActionSpec("storage_count", StorageCount, int, False, "Count the records that match"),
    ActionSpec(
        "storage_batch",
        StorageBatch,
        list[OperationOutcome],
        True,
        "Execute operations in order, all or nothing unless told otherwise",
    ),
    ActionSpec("storage_index", StorageIndex, IndexState, False, "Declare or ask for indexes"),
    ActionSpec(
        "storage_collections",
        StorageCollections,
        list[CollectionCount],
        False,
        "List the collections that hold records",
    ),
)
# Beside the storage actions, answered by the same agent; none of them stands in a batch.
EVENT_ACTIONS: Final = _table(
    ActionSpec("storage_events", StorageEvents, list[ChangeEvent], False, "Read the change events"),
    ActionSpec(
        "storage_positions",
        StoragePositions,
        list[CollectionPosition],
        False,
        "Tell how far each collection has come",
    ),
)
LOCK_ACTIONS: Final = _table(
    ActionSpec("lock_acquire", LockAcquire, Lock, True, "Take a lock that nobody holds"),
    ActionSpec("lock_renew", LockRenew, Lock, True, "Keep a lock for longer"),
    ActionSpec("lock_release", LockRelease, Lock, True, "Give a lock back"),
    ActionSpec("lock_get", LockGet, Lock, False, "Tell who holds a lock"),
)
# Every agent answers these too.
DEAD_LETTER_ACTIONS: Final = _table(
    ActionSpec(
        "agent_dead_letters", AgentDeadLetters, list[DeadLetter], False, "List dead letters"
    ),
    ActionSpec(
        "agent_dead_letter", AgentDeadLetter, DeadLetterDetail, False, "Show one dead letter"
    ),
    ActionSpec(
        "agent_dead_letters_replay",
        AgentDeadLettersReplay,
        DeadLettersReplayed,
        False,
        "Send dead letters again, by their original route",
    ),
    ActionSpec(
        "agent_dead_letters_purge",
        AgentDeadLettersPurge,
        DeadLettersPurged,
        False,
        "Remove dead letters for good",
    ),
)
ACTIONS: Final[Mapping[str, ActionSpec]] = MappingProxyType(
    {
        **COMMON_ACTIONS,
        **DEAD_LETTER_ACTIONS,
        **STORAGE_ACTIONS,
        **EVENT_ACTIONS,
        **LOCK_ACTIONS,
    }
)


def parse_payload(spec: ActionSpec, payload: JsonObject) -> Payload:
    """The typed payload of an action. Locations in errors are relative to the payload.

    Raises:
        ValidationError: a field is unknown, missing or wrong.
        TooLargeError: more operations than a batch may have.
    """
    if len(payload) > MANY_FIELDS:
        payload = without_excess(payload, spec.payload)
    try:
        parsed: Payload = spec.payload.__pydantic_validator__.validate_python(payload)
    except pydantic.ValidationError as error:
        raise refusal_of(error, f"payload of {spec.name}") from None
    return parsed
