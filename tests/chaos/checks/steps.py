"""The operations of a history, one by one, with their outcomes: a batch is parted into its own."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tests.chaos.history import Answer, Exchange, Message

WRITES: Final = frozenset({"storage_save", "storage_update", "storage_delete"})
READS: Final = frozenset({"storage_get", "storage_list", "storage_query", "storage_count"})
_OTHERS: Final = frozenset({"storage_batch", "lock_acquire", "lock_renew", "lock_release"})
UNHEARD_OF: Final = "unheard_of"
"""A field that no payload has: who sends it wants to be refused."""


@dataclass(slots=True)
class Step:
    """One operation of a message.

    Args:
        exchange: the message it came in.
        place: where it stands in its batch; None for a message that is no batch.
        atomic: whether it stands in a batch that takes effect as a whole.
        collection: what it is about.
        outcome: what was answered to it; None when nothing was.
    """

    exchange: Exchange
    place: int | None
    atomic: bool
    collection: str
    action: str
    payload: Mapping[str, Any]
    outcome: Answer | None

    @property
    def succeeded(self) -> bool:
        """Whether a success was answered."""
        return self.outcome is not None and self.outcome["status"] == "success"

    @property
    def sequence(self) -> int:
        """Of its change, or of the last change it saw. Only of a success."""
        assert self.outcome is not None
        sequence: int = self.outcome["meta"]["sequence"]
        return sequence

    @property
    def record_id(self) -> int | str | None:
        """What it is about; None where the store gives the id, and for whole collections."""
        if self.action == "storage_save":
            found: int | str | None = self.payload["task"].get("id")
            return found
        return self.payload.get("task_id")

    def __str__(self) -> str:
        where = "" if self.place is None else f"[{self.place}]"
        about = "" if self.record_id is None else f" {self.record_id!r}"
        return f"{self.exchange.message['id']}{where} {self.action}{about}"


def is_refused_anyway(message: Message) -> bool:
    """Whether a message was sent to be refused, whatever the store holds."""
    is_known = message["action"] in WRITES | READS | _OTHERS
    return not is_known or UNHEARD_OF in message["payload"]


def steps_of(exchange: Exchange) -> Iterator[Step]:
    """The operations of a message, those of other actions left out."""
    message, answer = exchange.message, exchange.answer
    action, payload = message["action"], message["payload"]
    if action in WRITES or action in READS:
        collection = payload.get("collection", "tasks")
        yield Step(exchange, None, False, collection, action, payload, answer)
    elif action == "storage_batch":
        outcomes = _outcomes(answer, len(payload["operations"]))
        atomic = payload.get("atomic", True)
        default = payload.get("collection", "tasks")
        for place, operation in enumerate(payload["operations"]):
            said = operation["payload"]
            collection = said.get("collection", default)
            yield Step(
                exchange, place, atomic, collection, operation["action"], said, outcomes[place]
            )


def _outcomes(answer: Answer | None, size: int) -> list[Answer | None]:
    """What was answered to each operation; of an atomic batch that failed, only to one."""
    if answer is not None and answer["status"] == "success":
        return list(answer["result"])
    outcomes: list[Answer | None] = [None] * size
    if answer is not None and "index" in answer["details"]:
        details = {key: value for key, value in answer["details"].items() if key != "index"}
        outcomes[answer["details"]["index"]] = {**answer, "details": details}
    return outcomes
