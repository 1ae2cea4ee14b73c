"""Whether an answer can be read at all as an answer to its message."""

from collections.abc import Mapping
from typing import Any, Final

from tests.chaos.checks.steps import READS, WRITES
from tests.chaos.history import Answer, Message

_PAGES: Final = frozenset({"storage_list", "storage_query"})


def has_shape(message: Message, answer: Answer) -> bool:
    """Whether it has what the load and the checks read of an answer to such a message.

    What stands there is for the checks. An answer to another action, or to a batch of another
    size, has mostly not even this.
    """
    action, payload = message["action"], message["payload"]
    result, meta = answer.get("result"), answer.get("meta", {})
    if answer["status"] != "success":
        return _names_its_place(action, payload, answer.get("details", {}))
    if action == "storage_batch":
        return _is_one_for_each(payload["operations"], result)
    if action in WRITES | READS and not isinstance(meta.get("sequence"), int):
        return False
    if action in WRITES or action == "storage_get":
        return isinstance(result, dict) and "id" in result and isinstance(meta.get("version"), int)
    if action in _PAGES:
        return isinstance(result, list) and all(
            isinstance(record, dict) and "id" in record for record in result
        )
    if action == "storage_count":
        return isinstance(result, int)
    if action == "lock_acquire":
        return isinstance(result, dict) and isinstance(result.get("token"), int)
    return True


def _is_one_for_each(operations: list[Message], outcomes: object) -> bool:
    if not isinstance(outcomes, list) or len(outcomes) != len(operations):
        return False
    return all(map(has_shape, operations, outcomes))


def _names_its_place(action: str, payload: Mapping[str, Any], details: Mapping[str, Any]) -> bool:
    """An error that tells a place tells one of its message: only batches have some."""
    if "index" not in details:
        return True
    return action == "storage_batch" and details["index"] in range(len(payload["operations"]))
