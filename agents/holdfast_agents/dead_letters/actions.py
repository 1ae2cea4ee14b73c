"""The dead letters as messages: the rows of the action table that every agent can be given."""

from datetime import datetime
from functools import partial
from typing import Any, Final

from pydantic import BaseModel, JsonValue

from holdfast_agents.base.answers import Result
from holdfast_agents.base.work import Action, Aside
from holdfast_protocol.actions import (
    DEAD_LETTER_ACTIONS,
    AgentDeadLetter,
    AgentDeadLetters,
    AgentDeadLettersPurge,
    AgentDeadLettersReplay,
    Payload,
)
from holdfast_protocol.bus.contract import Bus
from holdfast_protocol.limits import MAX_RESPONSE_BYTES
from holdfast_protocol.messages import AgentMessage

from .choosing import Choice
from .desk import DeadLetterDesk, Replayed
from .telling import detail_of

_ENVELOPE_BYTES: Final = 64 * 1024
"""More than a letter's summary takes beside its body."""


def dead_letter_actions(bus: Bus, *, response_limit: int = MAX_RESPONSE_BYTES) -> list[Action[Any]]:
    """Rows for `Agent.extend`: calls made beside the batches, on this bus, which stays open
    while the agent serves. Made once for all agents of a process, they take turns.

    `response_limit` is in bytes: a list ends before it, a body that is larger is cut.
    """
    answers = _Answers(DeadLetterDesk(bus), response_limit)
    return [Action(spec, answers.prepare, slow=True) for spec in DEAD_LETTER_ACTIONS.values()]


class _Answers:
    def __init__(self, desk: DeadLetterDesk, response_limit: int) -> None:
        self._desk = desk
        self._room = response_limit - _ENVELOPE_BYTES

    def prepare(self, message: AgentMessage, payload: Payload) -> Aside:
        """The call that answers; nothing is done yet."""
        return Aside(partial(self._answer, payload, message.timestamp))

    async def _answer(self, payload: Payload, sent_at: datetime | None) -> Result:
        """Raises HoldfastError: no such letter, the broker away, another walk under way."""
        match payload:
            case AgentDeadLetters():
                return await self._list(payload)
            case AgentDeadLetter():
                letter = await self._desk.show(payload.id)
                return Result(_told(await detail_of(letter, max_bytes=self._room)))
            case AgentDeadLettersReplay():
                replayed = await self._desk.replay(_choice(payload, sent_at))
                return Result(_told(replayed.result), _reasons(replayed))
            case AgentDeadLettersPurge():
                return Result(_told(await self._desk.purge(_choice(payload, sent_at))))
            case _:
                raise TypeError(f"no answer to {type(payload).__name__}")

    async def _list(self, payload: AgentDeadLetters) -> Result:
        listing = await self._desk.list(payload, payload.limit, max_bytes=self._room)
        told = [_told(letter) for letter in listing.letters]
        return Result(told, {"total": listing.total, "complete": listing.complete})


def _choice(
    payload: AgentDeadLettersReplay | AgentDeadLettersPurge, sent_at: datetime | None
) -> Choice:
    """A message has no identity here, and is done each time that it comes; but what was given
    up after it was sent, its sender cannot have meant."""
    return Choice(payload, payload.ids, payload.limit, payload.dry_run, sent_at)


def _reasons(replayed: Replayed) -> dict[str, JsonValue]:
    """By error type, how many could not be sent for it."""
    return {"failures": {**replayed.failures}} if replayed.failures else {}


def _told(model: BaseModel) -> dict[str, Any]:
    told: dict[str, Any] = model.model_dump(mode="json")
    return told
