"""Exchanges as lines of a message log. Source: the wire contract, section 8.

A line tells in `order`, beside what the contract asks for, where the answer stands in the history
of each collection: the processes of an agent append independently, so their lines do not stand
in the order of execution.
"""

from collections.abc import Sequence

from holdfast_agents.base.answers import Answer
from holdfast_protocol.codec import Refusal
from holdfast_protocol.ids import uuid7
from holdfast_protocol.jsonbytes import compact_json
from holdfast_protocol.logs import LOG_VERSION
from holdfast_protocol.messages import AgentMessage
from holdfast_protocol.times import format_time, utc_now
from holdfast_protocol.wire import message_fields, reply_fields


def encode_lines(
    agent: str, items: Sequence[AgentMessage | Refusal], answers: Sequence[Answer]
) -> list[bytes]:
    """The lines of executed messages, of one moment."""
    at = format_time(utc_now())
    return [
        _line(agent, item, answer, at)
        for item, answer in zip(items, answers, strict=True)
        if isinstance(item, AgentMessage)
    ]


def _line(agent: str, message: AgentMessage, answer: Answer, at: str) -> bytes:
    line: dict[str, object] = {
        "v": LOG_VERSION,
        "at": at,
        "agent": agent,
        "message": message_fields(message),
        "response": reply_fields(answer.reply, uuid7(), at),
    }
    if answer.positions:
        line["order"] = {
            place.collection: (place.sequence, int(place.is_change)) for place in answer.positions
        }
    return compact_json(line) + b"\n"
