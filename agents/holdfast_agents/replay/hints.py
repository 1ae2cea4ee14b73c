"""The typical causes of a difference, put into words."""

from collections.abc import Sequence
from typing import Final

from holdfast_protocol.logs import LoggedExchange
from holdfast_protocol.messages import AgentMessage, AgentResponse

from .comparing import Difference
from .report import Report
from .told import Told

_REFUSED_FOR_NOW: Final = frozenset({"unavailable", "overloaded", "rate_limited", "storage_error"})
_NUMBERS: Final = frozenset({"meta.version", "details.current_version", "result.token"})


def hint(
    exchange: LoggedExchange,
    got: Told,
    differences: Sequence[Difference],
    report: Report,
    *,
    timed: bool,
) -> str | None:
    """What most likely made the answer another one; None where nothing is typical.

    `timed` is whether the log let something expire before.
    """
    expected = exchange.response
    if expected.meta.get("replayed") != got.meta.get("replayed"):
        return _of_repetition(got)
    if report.found:
        held = ", ".join(report.found)
        return f"the store was not empty: it held {held}; replay on an empty one"
    late = _late_collection(exchange.message, report)
    if late is not None:
        number = report.begins_late[late]
        return f"the log does not tell how {late} began: its first line is of change {number}"
    return _of_errors(expected, got, differences, timed=timed)


def _of_repetition(got: Told) -> str:
    if "replayed" in got.meta:
        return "the store knows this message already: the log was replayed on it before"
    return "the store does not know the first telling of this message: the log lacks it"


def _late_collection(message: AgentMessage, report: Report) -> str | None:
    collection = message.payload.get("collection", "tasks")
    return collection if isinstance(collection, str) and collection in report.begins_late else None


def _of_errors(
    expected: AgentResponse,
    got: Told,
    differences: Sequence[Difference],
    *,
    timed: bool,
) -> str | None:
    if got.error_type in _REFUSED_FOR_NOW:
        return "the store or its agent was in trouble: this says nothing about the answer"
    if got.error_type == "unknown_action":
        return "the agent here has no such action: is it of another version?"
    if got.error_type == "validation_error" and expected.ok:
        return "what was accepted is refused now: the agent's rules have changed"
    if timed and "not_found" in {expected.error_type, got.error_type}:
        return "a TTL or a lease ran out: on a bus by the real time, on a store by the log's"
    if differences and all(found.path in _NUMBERS for found in differences):
        return "a write before this one was made twice or not at all: see the first difference"
    return None
