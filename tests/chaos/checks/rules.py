"""What one operation makes of one record, by the wire contract alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from tests.chaos.checks.steps import Step
from tests.conformance.differential.naive import NotPossibleError, append, increment, merge

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class State:
    """A record at a moment. Without a document it is not there; the version is its last one."""

    document: Document | None = None
    version: int = 0

    @property
    def current(self) -> int:
        """What `if_version` is compared with."""
        return 0 if self.document is None else self.version


NOTHING = State()


class RefusedError(Exception):
    """The operation must fail: the error type, and the version that a conflict tells."""

    def __init__(self, error_type: str, current_version: int | None = None) -> None:
        super().__init__(error_type)
        self.error_type = error_type
        self.current_version = current_version


def applied(step: Step, state: State, record_id: int | str) -> State:
    """The record after a write. Raises RefusedError when it must fail."""
    expected = step.payload.get("if_version")
    if step.action == "storage_save":
        if expected is not None and expected != state.current:
            raise RefusedError("conflict", state.current)
        return State({**step.payload["task"], "id": record_id}, state.version + 1)
    if state.document is None:
        raise RefusedError("not_found")
    if expected is not None and expected != state.version:
        raise RefusedError("conflict", state.version)
    if step.action == "storage_delete":
        return State(None, state.version)
    return State(_updated(state.document, step.payload), state.version + 1)


def readable(state: State) -> None:
    """Whether a record can be read. Raises RefusedError when not."""
    if state.document is None:
        raise RefusedError("not_found")


def _updated(document: Document, payload: Mapping[str, Any]) -> Document:
    changed: dict[str, Any] = orjson.loads(orjson.dumps(document))
    try:
        changed = merge(changed, payload.get("changes") or {})
        for path, amount in (payload.get("increment") or {}).items():
            increment(changed, path, amount)
        for path, values in (payload.get("append") or {}).items():
            append(changed, path, values)
    except NotPossibleError:
        raise RefusedError("validation_error") from None
    return changed


def same(one: object, other: object) -> bool:
    """Equal in value and in JSON type; the order of keys does not count."""
    return one is other or (
        orjson.dumps(one, option=orjson.OPT_SORT_KEYS)
        == orjson.dumps(other, option=orjson.OPT_SORT_KEYS)
    )
