"""What an agent gives back for one message, before it becomes a reply."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from pydantic import JsonValue

from holdfast_protocol.errors import HoldfastError
from holdfast_protocol.messages import AgentMessage
from holdfast_protocol.replies import Reply, ReplyResult

_NO_META: Final[Mapping[str, JsonValue]] = {}


class Result(NamedTuple):
    """A success: the result, and the facts about it that are not the result."""

    value: ReplyResult
    meta: Mapping[str, JsonValue] = _NO_META


class Position(NamedTuple):
    """Where an answer stands in the history of one collection: after its change number
    `sequence`, or as that change itself. It lets the log of several processes be put into the
    order in which things happened."""

    collection: str
    sequence: int
    is_change: bool


class Answer(NamedTuple):
    """A reply, and whether the message was refused before anything was executed.

    A refused message that nobody waits for belongs into the dead letters; one that was executed
    does not, whatever came of it.
    """

    reply: Reply
    refused: bool = False
    action: str | None = None
    positions: Sequence[Position] = ()


def success(
    message: AgentMessage, agent: str, result: Result, positions: Sequence[Position] = ()
) -> Answer:
    """The answer to a message that was done."""
    reply = Reply("success", agent, message.id, message.correlation_id, result.value, result.meta)
    return Answer(reply, action=message.action, positions=positions)


def failure(
    message: AgentMessage,
    agent: str,
    error: HoldfastError,
    *,
    refused: bool = False,
    replayed: bool = False,
    positions: Sequence[Position] = (),
) -> Answer:
    """The answer to a message that could not be done."""
    meta: dict[str, JsonValue] = {"replayed": True} if replayed else {}
    reply = Reply(
        "error",
        agent,
        message.id,
        message.correlation_id,
        None,
        meta,
        error.message,
        error.error_type,
        error.details,
    )
    return Answer(reply, refused, message.action, positions)


def told_too_late(answer: Answer) -> Answer:
    """The answer to a message that was cancelled after it had been executed."""
    meta = {**answer.reply.meta, "cancel": "too_late"}
    return answer._replace(reply=answer.reply._replace(meta=meta))
