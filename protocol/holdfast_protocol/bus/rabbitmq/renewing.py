"""Dead letters that were looked at so often that the broker would soon drop them, made anew.

Whatever a walk gives back counts as a delivery that failed. Where the queue has a delivery
limit (20 from RabbitMQ 4.0 on, or a policy's) the broker drops a letter beyond it, so looking
at dead letters would delete them. Such a letter is given back as a copy, which nobody has
looked at yet.
"""

import asyncio
import logging
from collections.abc import Iterable

from aiormq import Channel
from aiormq.abc import DeliveredMessage
from aiormq.exceptions import PublishError
from pamqp.commands import Basic

from holdfast_protocol.bus.deadletters import (
    AGENT,
    AT,
    ERROR,
    MAX_TAKEN_BYTES,
    REASON,
    ROUTING_KEY,
    resent_headers,
)
from holdfast_protocol.bus.messages import DeadLetter
from holdfast_protocol.bus.rabbitmq.connection import Link
from holdfast_protocol.bus.rabbitmq.driver import close_quietly, describe, lost_connections

_log = logging.getLogger("holdfast.bus")

# Half the usual limit: some walks may end without renewing (a death, a lost connection).
_DUE = 10
_COUNT = "x-delivery-count"
_PERSISTENT = 2
_MAX_KEPT = 1_000
_AT_ONCE = 16
_MAX_WORD_CHARACTERS = 255
_MAX_ERROR_CHARACTERS = 1_000


class Renewal:
    """The letters of a walk that are due, and their copies.

    A copy reads as its original does, and is published to the queue alone, through the default
    exchange. It has no `x-death`, which nobody but the broker should write, and none of the
    headers that would route it elsewhere: what they told is in headers of ours, as if a bus
    had buried the message. Nor has it the user id, which the broker would check against ours.
    """

    def __init__(self, link: Link, queue: str, timeout: float) -> None:
        self._link = link
        self._queue = queue
        self._timeout = timeout
        self._due: dict[int, tuple[DeliveredMessage, DeadLetter]] = {}
        self._bytes = 0
        self._channel: Channel | None = None
        self._failed = False

    @property
    def is_full(self) -> bool:
        """Whether no more should be kept in memory."""
        return self._bytes > MAX_TAKEN_BYTES or len(self._due) > _MAX_KEPT

    def note(self, number: int, message: DeliveredMessage, letter: DeadLetter) -> None:
        """It has come: kept when it is due."""
        if not self._failed and _is_due(message):
            self._due[number] = (message, letter)
            self._bytes += len(message.body)

    def forget(self, numbers: Iterable[int]) -> None:
        """They need no copy (any more)."""
        for number in numbers:
            if found := self._due.pop(number, None):
                self._bytes -= len(found[0].body)

    async def publish_some(self) -> set[int]:
        """Publish copies of some; the numbers of those that the broker has confirmed.

        Empty when there are no more, or when it cannot be done: that is logged, and their
        originals go back as they are. Originals whose acks are lost are there twice then.
        """
        numbers = list(self._due)[:_AT_ONCE]
        if not numbers:
            return set()
        try:
            confirmed = await self._publish(numbers)
        except Exception as error:  # noqa: BLE001 - the originals are there, and nobody waits
            self._give_up(error)
            return set()
        self.forget(confirmed)
        return confirmed

    async def close(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            await close_quietly(channel)

    async def _publish(self, numbers: list[int]) -> set[int]:
        async with asyncio.timeout(self._timeout):
            if self._channel is None:
                self._channel = await self._link.open_channel(unprepared, confirms=True)
            results = await asyncio.gather(
                *(self._publish_one(self._channel, number) for number in numbers),
                return_exceptions=True,
            )
        errors = [result for result in results if isinstance(result, BaseException)]
        if errors:
            self._give_up(errors[0])
        if any(isinstance(error, PublishError) for error in errors):
            return set()  # the driver tells what is returned by an id that two letters may have
        return {number for number, result in zip(numbers, results, strict=True) if result is None}

    async def _publish_one(self, channel: Channel, number: int) -> None:
        message, letter = self._due[number]
        with lost_connections():
            await channel.basic_publish(
                message.body,
                routing_key=self._queue,
                properties=_properties(message, letter),
                mandatory=True,
                wait=False,  # the confirm says more than the socket's buffer
            )

    def _give_up(self, error: BaseException) -> None:
        self._failed = True
        self._due.clear()
        self._bytes = 0
        _log.warning(
            "Dead letters that were looked at often could not be made anew: %s", describe(error)
        )


def _is_due(message: DeliveredMessage) -> bool:
    # Of a message that it delivers for the first time, the broker did not write the count.
    count = (message.header.properties.headers or {}).get(_COUNT) if message.redelivered else 0
    return isinstance(count, int) and count >= _DUE


def _properties(message: DeliveredMessage, letter: DeadLetter) -> Basic.Properties:
    original = message.header.properties
    headers: dict[str, str] = dict(resent_headers(letter)) | {
        REASON: _clean(letter.reason, _MAX_WORD_CHARACTERS),
        ERROR: _clean(letter.error, _MAX_ERROR_CHARACTERS),
        AGENT: _clean(letter.agent, _MAX_WORD_CHARACTERS),
        ROUTING_KEY: _clean(letter.routing_key, _MAX_WORD_CHARACTERS),
    }
    if letter.at is not None:
        headers[AT] = letter.at.isoformat().replace("+00:00", "Z")
    return Basic.Properties(
        headers=dict(headers),
        delivery_mode=_PERSISTENT,
        message_id=letter.id,  # the digest is not that of the copy
        correlation_id=original.correlation_id,
        reply_to=original.reply_to,
        content_type=original.content_type,
        content_encoding=original.content_encoding,
        priority=original.priority,
        timestamp=original.timestamp,
        expiration=original.expiration,
        message_type=original.message_type,
        app_id=original.app_id,
    )


def _clean(text: str, limit: int) -> str:
    return text[:limit].encode(errors="replace").decode()


async def unprepared(_: Channel) -> None:
    """For a channel on which nothing is declared."""
