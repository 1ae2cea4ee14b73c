"""How large answers can become, and how large they are.

A read of a hundred bytes may be answered with a megabyte, so what is held of answers has no bound
in what is held of messages. Nobody knows the size of a record before it is read: until it is
known, it is counted as some times of what the last ones had, but never as less than a quarter of
the largest that there can be. So nobody gets more than four times of what was counted, whatever
the records before were, and small ones are still read by the hundred.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from holdfast_protocol.actions import COMMON_ACTIONS, LOCK_ACTIONS
from holdfast_protocol.codec import Refusal
from holdfast_protocol.limits import MAX_RESPONSE_BYTES
from holdfast_protocol.messages import AgentMessage
from holdfast_protocol.replies import RawJson, ReplyResult

from .answers import Answer
from .work import Prepared

RECORD_BYTES: Final = 1024 * 1024
"""The largest record there is (wire contract, section 10)."""

_LEAST_COUNTED: Final = RECORD_BYTES // 4
_TIMES_THE_USUAL: Final = 4

_SAYS_WHAT_IT_WAS_TOLD: Final = frozenset(
    {"storage_save", "storage_index", *LOCK_ACTIONS, *COMMON_ACTIONS}
)
"""Actions whose answers are about as large as their messages, which are counted already."""

_BATCH: Final = "storage_batch"
_MOST_RECORDS: Final = MAX_RESPONSE_BYTES // RECORD_BYTES
_ENVELOPE_BYTES: Final = 1024
"""What a small answer takes, about."""


def may_grow(items: Iterable[AgentMessage | Refusal]) -> bool:
    """Whether any answer may be much larger than its message. Saves are told fast that theirs
    are not."""
    for item in items:
        if isinstance(item, AgentMessage) and item.action not in _SAYS_WHAT_IT_WAS_TOLD:
            return True
    return False


def counted_record(held: int, answers: int) -> int:
    """As how large to count a record that is to be read, after so many answers that hold so many
    bytes."""
    counted = held * _TIMES_THE_USUAL // answers
    return min(max(counted, _LEAST_COUNTED), RECORD_BYTES)


def weights_of(
    prepared: Sequence[Prepared[Any] | Answer], slow: Sequence[bool]
) -> list[int] | None:
    """How many of the largest records the result of each message may hold beyond what the message
    itself holds; None where none can hold any."""
    weights = [
        0 if isinstance(work, Answer) else _weight(work.message, is_slow=is_slow)
        for work, is_slow in zip(prepared, slow, strict=True)
    ]
    return weights if any(weights) else None


def _weight(message: AgentMessage, *, is_slow: bool) -> int:
    if message.action in _SAYS_WHAT_IT_WAS_TOLD:
        return 0
    if is_slow:
        return _MOST_RECORDS
    if message.action != _BATCH:
        return 1
    operations = message.payload.get("operations")
    if not isinstance(operations, list):
        return 0  # and refused
    grown = islice(filter(_operation_may_grow, operations), _MOST_RECORDS)
    return sum(1 for _ in grown)


def _operation_may_grow(operation: object) -> bool:
    return not isinstance(operation, dict) or operation.get("action") not in _SAYS_WHAT_IT_WAS_TOLD


def held_by(answers: Iterable[Answer]) -> int:
    """How many bytes answers hold, about: what is encoded already counts, and strings."""
    return sum(map(answer_bytes, answers))


def answer_bytes(answer: Answer) -> int:
    """How many bytes an answer holds, about; its text has hardly more."""
    result = answer.reply.result
    if isinstance(result, RawJson):
        return _ENVELOPE_BYTES + len(result.data)
    return _ENVELOPE_BYTES + _result_bytes(result)


def _result_bytes(value: ReplyResult) -> int:
    if isinstance(value, RawJson):
        return len(value.data)
    if isinstance(value, str):
        return len(value)
    if isinstance(value, Mapping):
        return sum(map(_result_bytes, value.values()))
    if isinstance(value, Sequence):
        return sum(map(_result_bytes, value))
    return 0
