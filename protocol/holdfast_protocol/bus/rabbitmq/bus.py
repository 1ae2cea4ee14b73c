"""The bus on RabbitMQ."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from types import TracebackType
from typing import Protocol, Self

from pamqp.commands import Basic

from holdfast_protocol.bus.checks import (
    check_agent,
    check_announcements,
    check_body,
    check_namespace,
    check_prefetch,
    check_publication,
    check_short_string,
    expiration_ms,
    fits_short_string,
    reply_queue_name,
)
from holdfast_protocol.bus.contract import (
    DEFAULT_MAX_BYTES,
    Announcement,
    Broadcast,
    BroadcastExchange,
    DeadLetter,
    DeadLetters,
    Delivery,
    Publication,
    ReplyDelivery,
)
from holdfast_protocol.bus.deadletters import dead_letter_headers
from holdfast_protocol.bus.rabbitmq.announcing import Announcer
from holdfast_protocol.bus.rabbitmq.connection import Link, parsed_url
from holdfast_protocol.bus.rabbitmq.consumer import RabbitConsumer
from holdfast_protocol.bus.rabbitmq.direct import DirectReplies, is_direct_address
from holdfast_protocol.bus.rabbitmq.listening import RabbitListener
from holdfast_protocol.bus.rabbitmq.publisher import Publisher, RejectedError, UnroutableError
from holdfast_protocol.bus.rabbitmq.replies import RabbitReplyAddress
from holdfast_protocol.bus.rabbitmq.topology import dead_exchange, messages_exchange
from holdfast_protocol.bus.topics import check_patterns
from holdfast_protocol.errors import BusClosedError, NoRouteError, UnavailableError

_TRANSIENT, _PERSISTENT = 1, 2
# A reply queue that is full is its owner's affair: nobody else is to wait for it.
_REPLY_REJECTIONS = 1


class _Closable(Protocol):
    async def close(self) -> None: ...


class _Startable(_Closable, Protocol):
    async def start(self, timeout: float) -> None: ...


class RabbitBus:
    """Access to a RabbitMQ broker (3.10 or later) over two connections.

    One publishes and one consumes: under a memory alarm the broker stops to read from a
    connection that has published, and acks must get through. `operation_timeout` bounds
    every wait for the broker, in seconds.
    """

    def __init__(
        self, url: str, *, namespace: str = "holdfast", operation_timeout: float = 10.0
    ) -> None:
        self._namespace = check_namespace(namespace)
        self._timeout = operation_timeout
        self._url = parsed_url(url)
        self._exchange = messages_exchange(namespace)
        self._is_open = False
        self._dead_under_way: set[str] = set()

    @property
    def namespace(self) -> str:
        return self._namespace

    @property
    def blocked(self) -> bool:
        return self._is_open and self._publishing.blocked

    async def publish(self, publication: Publication) -> None:
        publisher = self._require_open()
        check_publication(publication)
        properties = Basic.Properties(
            delivery_mode=_PERSISTENT,
            correlation_id=publication.correlation_id,
            reply_to=publication.reply_to,
        )
        if publication.expiration_seconds is not None:
            properties.expiration = str(expiration_ms(publication.expiration_seconds))
        try:
            await publisher.publish(
                self._exchange, publication.routing_key, publication.body, properties
            )
        except UnroutableError as error:
            raise NoRouteError(f"No agent is bound for {publication.routing_key!r}") from error

    async def consume(
        self, agent: str, *, prefetch: int = 1000, max_bytes: int = DEFAULT_MAX_BYTES
    ) -> RabbitConsumer:
        self._require_open()
        consumer = RabbitConsumer(
            self._consuming, self._namespace, check_agent(agent), check_prefetch(prefetch)
        )
        await self._start(consumer)
        return consumer

    async def open_reply_address(
        self, sender: str, on_reply: Callable[[ReplyDelivery], None]
    ) -> RabbitReplyAddress:
        self._require_open()
        address = RabbitReplyAddress(
            self._consuming, reply_queue_name(self._namespace, sender), on_reply
        )
        await self._start(address)
        return address

    async def reply(self, address: str, body: bytes, correlation_id: str | None) -> bool:
        publisher = self._require_open()
        check_body(body)
        if correlation_id is not None:
            check_short_string("correlation_id", correlation_id)
        if not fits_short_string(address):
            return False
        # Not persistent: a client that lost its reply asks again and gets the stored one.
        properties = Basic.Properties(delivery_mode=_TRANSIENT, correlation_id=correlation_id)
        if is_direct_address(address):
            return await self._direct_replies.send(address, body, properties)
        try:
            await publisher.publish("", address, body, properties, rejections=_REPLY_REJECTIONS)
        except (UnroutableError, RejectedError):
            return False
        return True

    async def dead_letter(self, delivery: Delivery, *, reason: str, error: str, agent: str) -> None:
        publisher = self._require_open()
        check_body(delivery.body)
        message_id = self._own_message_id(delivery, publisher)
        self._dead_under_way.add(message_id)
        try:
            await publisher.publish(
                dead_exchange(self._namespace),
                delivery.routing_key if fits_short_string(delivery.routing_key) else "",
                delivery.body,
                Basic.Properties(
                    delivery_mode=_PERSISTENT,
                    headers=dict(
                        dead_letter_headers(delivery, reason=reason, error=error, agent=agent)
                    ),
                    reply_to=_kept(delivery.reply_to),
                    correlation_id=_kept(delivery.correlation_id),
                    message_id=message_id,
                ),
            )
        except UnroutableError as unroutable:
            raise UnavailableError("The queue of dead letters is missing") from unroutable
        finally:
            self._dead_under_way.discard(message_id)

    def dead_letters(self) -> AbstractAsyncContextManager[DeadLetters]:
        raise UnavailableError("Not there yet")

    async def resend(self, letter: DeadLetter) -> None:
        raise UnavailableError("Not there yet")

    async def announce(self, announcements: Sequence[Announcement]) -> list[bool]:
        self._require_open()
        check_announcements(announcements)
        return await self._announcer.announce(announcements)

    async def listen(
        self,
        exchange: BroadcastExchange,
        patterns: Sequence[str],
        on_message: Callable[[Broadcast], None],
        on_ready: Callable[[], None] | None = None,
    ) -> RabbitListener:
        self._require_open()
        listener = RabbitListener(
            self._consuming,
            self._namespace,
            exchange,
            check_patterns(patterns),
            on_message,
            on_ready,
        )
        await self._start(listener)
        return listener

    async def journal(self, body: bytes) -> None:
        raise UnavailableError("Not there yet")

    def read_journal(
        self, *, since: datetime | None = None, follow: bool = False
    ) -> AsyncIterator[bytes]:
        raise UnavailableError("Not there yet")

    def _own_message_id(self, delivery: Delivery, publisher: Publisher) -> str:
        """The delivery's, or a new one where two at the same time would be taken for another."""
        message_id = _kept(delivery.message_id)
        if message_id is None or message_id in self._dead_under_way:
            return publisher.next_message_id()
        return message_id

    async def _start(self, user: _Startable) -> None:
        self._users.append(user)
        try:
            await user.start(self._timeout)
        except BaseException:
            await user.close()
            if user in self._users:
                self._users.remove(user)
            raise

    def _require_open(self) -> Publisher:
        if not self._is_open:
            raise BusClosedError("The bus is not open")
        return self._publisher

    async def __aenter__(self) -> Self:
        if self._is_open:
            raise RuntimeError("The bus is already open")
        self._publishing = Link(self._url, "publishing")
        self._consuming = Link(self._url, "consuming")
        self._publisher = Publisher(self._publishing, self._namespace, self._timeout)
        self._direct_replies = DirectReplies(self._url, self._namespace, self._timeout)
        self._announcer = Announcer(self._publishing, self._namespace, self._timeout)
        self._users: list[_Closable] = [self._publisher, self._direct_replies, self._announcer]
        try:
            await self._publishing.supervisor.start(self._timeout)
            await self._consuming.supervisor.start(self._timeout)
            await self._publisher.supervisor.start(self._timeout)
        except BaseException:
            await self._close()
            raise
        self._is_open = True
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._is_open:
            await self._close()

    async def _close(self) -> None:
        """First all that uses the connections, in good order, then the connections."""
        self._is_open = False
        try:
            await asyncio.gather(*(user.close() for user in self._users))
        finally:
            await asyncio.gather(
                self._publishing.supervisor.close(), self._consuming.supervisor.close()
            )


def _kept(value: str | None) -> str | None:
    """A property of the original, where AMQP can carry it."""
    return value if value and fits_short_string(value) else None
