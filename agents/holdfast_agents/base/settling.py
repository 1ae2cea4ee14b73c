"""Settling: replies confirmed by the broker, dead letters, and then the ack."""

from collections.abc import Sequence
from dataclasses import replace

import orjson

from holdfast_agents.logs import Logger
from holdfast_protocol.bus.contract import Bus, Consumer, Delivery
from holdfast_protocol.codec import encode_replies, split_replies
from holdfast_protocol.errors import HoldfastError

from .answers import Answer
from .waiting import Received

_ENVELOPE_ROOM = 1024 * 1024
_UNDONE = frozenset({"internal_error", "storage_error", "unavailable"})
"""Failures that are not the sender's: with nobody to tell, they are kept for the operator."""


class Settler:
    """Brings answers to where they belong.

    Args:
        response_bytes: of one AMQP message that answers an array.
    """

    def __init__(self, agent: str, bus: Bus, log: Logger, *, response_bytes: int) -> None:
        self._agent = agent
        self._bus = bus
        self._log = log
        self._response_bytes = response_bytes + _ENVELOPE_ROOM

    async def deliver(self, received: Received, answers: Sequence[Answer], start: int = 0) -> bool:
        """Whether the broker has taken all that these answers lead to; the first of them
        answers the message at `start`."""
        delivery = received.delivery
        try:
            if delivery.reply_to is not None:
                for body in self._bodies(received, answers):
                    await self._bus.reply(delivery.reply_to, body, delivery.correlation_id)
                return True
            for index, answer in enumerate(answers, start):
                if answer.refused or answer.reply.error_type in _UNDONE:
                    await self._bury(_part(received, index), answer)
        except HoldfastError as error:
            self._log.warning("reply not confirmed", agent=self._agent, error=str(error))
            return False
        return True

    async def settle(
        self, consumer: Consumer, deliveries: Sequence[Delivery], delivered: Sequence[bool]
    ) -> None:
        """Ack what led to all it had to; what did not comes again, and is replayed."""
        pairs = list(zip(deliveries, delivered, strict=True))
        if done := [delivery for delivery, is_done in pairs if is_done]:
            await consumer.ack(done)
        if failed := [delivery for delivery, is_done in pairs if not is_done]:
            await consumer.requeue(failed)

    async def reject(self, consumer: Consumer, delivery: Delivery) -> None:
        """Settle a message that asks to be answered into somebody else's queue."""
        try:
            await self._bus.dead_letter(
                delivery,
                reason="forbidden_reply_to",
                error="replies go to reply queues only",
                agent=self._agent,
            )
        except HoldfastError as error:
            self._log.warning("dead letter not confirmed", agent=self._agent, error=str(error))
            await consumer.requeue([delivery])
            return
        self._log.warning("forbidden reply_to", agent=self._agent)
        await consumer.ack([delivery])

    def _bodies(self, received: Received, answers: Sequence[Answer]) -> list[bytes]:
        replies = [answer.reply for answer in answers]
        if not received.is_array:
            return [encode_replies(replies, as_array=False)]
        return split_replies(replies, self._response_bytes)

    async def _bury(self, delivery: Delivery, answer: Answer) -> None:
        reply = answer.reply
        await self._bus.dead_letter(
            delivery,
            reason=reply.error_type or "internal_error",
            error=reply.error or "",
            agent=self._agent,
        )


def _part(received: Received, index: int) -> Delivery:
    """The delivery with only one message of its array, where that can be told apart."""
    delivery = received.delivery
    if not received.is_array or len(received.items) == 1:
        return delivery
    try:
        body = orjson.dumps(orjson.loads(delivery.body)[index])
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return delivery
    return replace(delivery, body=body)
