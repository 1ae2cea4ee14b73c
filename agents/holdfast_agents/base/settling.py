"""Settling: replies confirmed by the broker, dead letters, and then the ack."""

import asyncio
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from holdfast_agents.logs import Logger
from holdfast_protocol.bus.contract import Bus, Consumer, Delivery
from holdfast_protocol.codec import decode_responses, encode_replies, split_replies
from holdfast_protocol.errors import HoldfastError, TooLargeError, ValidationError
from holdfast_protocol.replies import Reply

from .answers import Answer
from .sizing import answer_bytes
from .waiting import Portion, Received

_ENVELOPE_ROOM = 1024 * 1024
_PAUSE_SECONDS = 0.5
_MAX_ID = 128
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

    async def deliver(
        self, portion: Portion, answers: Sequence[Answer], *, at_once: bool = False
    ) -> bool:
        """Whether the broker has taken all that the answers to these messages lead to. They are
        encoded a few at a time, or all at once."""
        received = portion.received
        try:
            if received.delivery.reply_to is None:
                await self._bury_refused(received, answers, portion.start)
            else:
                await self._reply(received, answers, at_once=at_once)
        except HoldfastError as error:
            self._log.warning("answer not confirmed", agent=self._agent, error=str(error))
            return False
        return True

    async def _reply(self, received: Received, answers: Sequence[Answer], *, at_once: bool) -> None:
        delivery = received.delivery
        address = delivery.reply_to or ""
        for body in self._bodies(received, answers, at_once=at_once):
            try:
                await self._bus.reply(address, body, delivery.correlation_id)
            except TooLargeError as error:
                # No other attempt can do better: say so in its place.
                self._log.error("answer cannot be sent", agent=self._agent, error=str(error))
                told = _told_too_large(body, self._agent)
                await self._bus.reply(address, told, delivery.correlation_id)
            except ValidationError as error:
                self._log.error("cannot be answered", agent=self._agent, error=str(error))
                await self._bus.dead_letter(
                    delivery, reason=error.error_type, error=str(error), agent=self._agent
                )
                return

    async def settle(
        self, consumer: Consumer, deliveries: Sequence[Delivery], delivered: Sequence[bool]
    ) -> None:
        """Ack what led to all it had to; what did not comes again, and is replayed."""
        pairs = list(zip(deliveries, delivered, strict=True))
        if done := [delivery for delivery, is_done in pairs if is_done]:
            await consumer.ack(done)
        if failed := [delivery for delivery, is_done in pairs if not is_done]:
            await asyncio.sleep(_PAUSE_SECONDS)  # the broker needs time, not the same again
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

    def _bodies(
        self, received: Received, answers: Sequence[Answer], *, at_once: bool
    ) -> Iterable[bytes]:
        if not received.is_array:
            return [encode_replies([answer.reply for answer in answers], as_array=False)]
        if at_once:
            return split_replies([answer.reply for answer in answers], self._response_bytes)
        return self._large_bodies(answers)

    def _large_bodies(self, answers: Sequence[Answer]) -> Iterator[bytes]:
        for group in _groups(answers, self._response_bytes):
            yield from split_replies([answer.reply for answer in group], self._response_bytes)

    async def _bury_refused(
        self, received: Received, answers: Sequence[Answer], start: int
    ) -> None:
        refused = {
            index: answer
            for index, answer in enumerate(answers, start)
            if answer.refused or answer.reply.error_type in _UNDONE
        }
        if not refused:
            return
        if not received.is_array or len(received.items) == 1:
            await self._bury(received.delivery, next(iter(refused.values())))
            return
        texts = _elements(received.delivery.body, set(refused))
        if texts is None:
            await self._bury(received.delivery, next(iter(refused.values())))
            return
        for index, text in texts.items():
            part = replace(received.delivery, body=text, message_id=_part_id(received, index))
            await self._bury(part, refused[index])

    async def _bury(self, delivery: Delivery, answer: Answer) -> None:
        reply = answer.reply
        await self._bus.dead_letter(
            delivery,
            reason=reply.error_type or "internal_error",
            error=reply.error or "",
            agent=self._agent,
        )


def _groups(answers: Sequence[Answer], max_bytes: int) -> Iterator[Sequence[Answer]]:
    """Answers that are about so large together, in order; one at least."""
    start = size = 0
    for place, answer in enumerate(answers):
        more = answer_bytes(answer)
        if place > start and size + more > max_bytes:
            yield answers[start:place]
            start, size = place, 0
        size += more
    yield answers[start:]


def _part_id(received: Received, index: int) -> str | None:
    """An AMQP message id of an array's element: sent again by itself, it is a default id of the
    message, and no two of them may be taken for the same."""
    whole = received.delivery.message_id
    part = f"{whole}.{index}"
    return part if whole is not None and len(part) <= _MAX_ID else None


def _told_too_large(body: bytes, agent: str) -> bytes:
    """Answers in the place of those in a body that is larger than the broker takes."""
    responses = decode_responses(body)
    replies = [
        Reply(
            "error",
            agent,
            response.in_reply_to,
            response.correlation_id,
            error="The answer is larger than the broker takes; ask for less of it",
            error_type=TooLargeError.error_type,
        )
        for response in responses
    ]
    return encode_replies(replies, as_array=body[:1] == b"[")


def _elements(body: bytes, wanted: set[int]) -> dict[int, bytes] | None:
    """The texts of some elements of a JSON array, as they came: nothing is read into them, so
    whatever the elements were refused for is still there. None where they cannot be told apart."""
    found: dict[int, bytes] = {}
    try:
        text = body.decode()
        place = text.index("[") + 1
        for index in range(max(wanted) + 1):
            start = _after_whitespace(text, place)
            _value, end = _DECODER.raw_decode(text, start)
            if index in wanted:
                found[index] = text[start:end].encode()
            place = text.find(",", end) + 1
    except (ValueError, RecursionError):
        return None
    return found


def _after_whitespace(text: str, place: int) -> int:
    while text[place] in _WHITESPACE:
        place += 1
    return place


# Numbers are not read: an integer of thousands of digits would raise.
_DECODER = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)
_WHITESPACE = " \t\n\r"
