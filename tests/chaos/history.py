"""What happened in a run: every message and every answer, and what was left when it was over.

The load records it, the checks read it. Moments are seconds of CLOCK_MONOTONIC, which all
processes of a machine share.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any, Literal, TypeAlias

Message: TypeAlias = Mapping[str, Any]
"""A message as it was sent: id, sender, recipient, action, payload."""

Answer: TypeAlias = Mapping[str, Any]
"""An answer as the wire has it: status, result or error, meta."""


@dataclass(slots=True)
class Exchange:
    """One message, all attempts together.

    Args:
        asked_at: before it was sent for the first time.
        answered_at: when its first answer had arrived; None while it has none.
        answer: its first answer.
        repeated: how often it was sent beyond the first time, by purpose or by need.
        contradictions: later answers that differ from the first in what must not differ, and
            answers that no such message can have.
        expects: `answer`, or `effect`: it was sent once, without a reply address, the broker
            confirmed it, and nobody asks again. Its effect, or a dead letter of it, must be there
            in the end.
        cancel_asked: whether somebody asked to cancel it.
    """

    message: Message
    asked_at: float
    answered_at: float | None = None
    answer: Answer | None = None
    repeated: int = 0
    contradictions: list[Answer] = field(default_factory=list)
    expects: Literal["answer", "effect"] = "answer"
    cancel_asked: bool = False


@dataclass(frozen=True, slots=True)
class Kept:
    """A collection as it was when everything was over.

    Args:
        records: the documents, by id.
        versions: their versions, by id.
        events: what `storage_events` tells, from sequence 1 on, as the wire has it.
        heard: what a subscription that stood all the time was given, in its order.
        published: what a queue held that was bound to every event of the collection in
            `holdfast.events` all the time: at least once, in order but for repeats.
    """

    records: Mapping[int | str, Mapping[str, Any]]
    versions: Mapping[int | str, int]
    events: Sequence[Mapping[str, Any]]
    heard: Sequence[Mapping[str, Any]] | None = None
    published: Sequence[Mapping[str, Any]] | None = None


@dataclass(slots=True)
class History:
    """A whole run, or one round of it.

    Args:
        exchanges: all of them, in the order of asking.
        kept: the collections that they wrote to.
        dead_letters: what the dead letters hold of them: message id → reason.
        left_in_queues: messages that no agent took, when everything was over.
        clocks_right_until: the moment when the first wall clock of an agent jumped, or differed.
    """

    exchanges: list[Exchange]
    kept: dict[str, Kept]
    dead_letters: dict[str, str] = field(default_factory=dict)
    left_in_queues: int = 0
    clocks_right_until: float = inf


@dataclass(frozen=True, slots=True)
class Violation:
    """A promise that was broken, and how it shows."""

    promise: str
    text: str
