"""Answers from the outbox: the events of a collection, and how far each collection has come."""

from typing import Final

from holdfast_agents.base.answers import Result
from holdfast_agents.events.encoding import event_body
from holdfast_backends import StorageError
from holdfast_backends.outbox import Outbox
from holdfast_protocol.actions import Payload, StorageEvents, StoragePositions
from holdfast_protocol.replies import RawJson, ReplyResult

from .results import translated

_ENVELOPE_BYTES: Final = 512
"""More than an event takes beside its document."""


class EventAnswers:
    """Reads the outbox for others. `response_limit` is in bytes."""

    def __init__(self, outbox: Outbox, response_limit: int) -> None:
        self._outbox = outbox
        self._limit = response_limit

    async def answer(self, payload: Payload) -> Result:
        """What was asked for.

        Raises:
            HoldfastError: the events are no longer kept, or the store cannot be reached.
        """
        try:
            match payload:
                case StorageEvents():
                    return await self._events(payload)
                case StoragePositions():
                    return await self._positions()
                case _:
                    raise TypeError(f"no answer to {type(payload).__name__}")
        except StorageError as error:
            raise translated(error) from error

    async def _events(self, payload: StorageEvents) -> Result:
        room = self._limit - payload.limit * _ENVELOPE_BYTES
        page = await self._outbox.read(payload.collection, payload.after, payload.limit, room)
        told: list[ReplyResult] = [
            RawJson(event_body(payload.collection, event)) for event in page.events
        ]
        return Result(
            told, {"first_sequence": page.first_sequence, "last_sequence": page.last_sequence}
        )

    async def _positions(self) -> Result:
        positions = await self._outbox.positions()
        return Result(
            [{"collection": name, "sequence": number} for name, number in positions.items()]
        )
