"""The actions that every agent answers: ping, describe, stats. Source: wire contract, section 6."""

from typing import Annotated

from pydantic import Field

from holdfast_protocol.fields import JsonObject, Time

from .payload import Payload
from .results import Result


class AgentPing(Payload):
    """Is anybody there?"""


class AgentDescribe(Payload):
    """What can you do?"""


class AgentStats(Payload):
    """How are you doing?"""


class Pong(Result):
    """The agent is there; `timestamp` is its clock."""

    agent: str
    timestamp: Time


class ActionDescription(Result):
    """One action with the JSON Schemas of its payload and its result."""

    action: str
    summary: str
    writes: bool
    payload: JsonObject
    result: JsonObject


class Description(Result):
    """An agent's actions, in the order of their names."""

    agent: str
    version: str
    actions: list[ActionDescription]


class Statistics(Result):
    """Counters since the process began. `counters` maps a name to a whole number."""

    agent: str
    started_at: Time
    uptime_seconds: Annotated[float, Field(ge=0)]
    counters: dict[str, int]
