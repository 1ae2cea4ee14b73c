"""The bus on RabbitMQ."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import Protocol, Self

from holdfast_protocol.bus.checks import (
    check_agent,
    check_announcements,
    check_body,
    check_chunk,
    check_max_bytes,
    check_namespace,
    check_prefetch,
    check_publication,
    check_short_string,
    check_since,
    reply_queue_name,
)
from holdfast_protocol.bus.contract import (
    DEFAULT_MAX_BYTES,
    Announcement,
    Broadcast,
    BroadcastExchange,
    DeadLetter,
    Delivery,
    Publication,
    ReplyDelivery,
)
from holdfast_protocol.bus.rabbitmq.announcing import Announcer
from holdfast_protocol.bus.rabbitmq.connection import Link
from holdfast_protocol.bus.rabbitmq.consumer import RabbitConsumer
from holdfast_protocol.bus.rabbitmq.dead_letters import RabbitWalk
from holdfast_protocol.bus.rabbitmq.direct import DirectReplies
from holdfast_protocol.bus.rabbitmq.hosts import Hosts, parsed_hosts
from holdfast_protocol.bus.rabbitmq.journal import Journal
from holdfast_protocol.bus.rabbitmq.listening import RabbitListener
from holdfast_protocol.bus.rabbitmq.outgoing import Outgoing
from holdfast_protocol.bus.rabbitmq.publisher import Publisher
from holdfast_protocol.bus.rabbitmq.replies import RabbitReplyAddress
from holdfast_protocol.bus.topics import check_patterns
from holdfast_protocol.errors import (
    BusClosedError,
)


class _Closable(Protocol):
    async def close(self) -> None: ...


class _Startable(_Closable, Protocol):
    async def start(self, timeout: float) -> None: ...


class RabbitBus:
    """Access to a RabbitMQ broker (3.10 or later) over a few connections.

    One publishes and another receives replies and broadcasts: under a memory alarm the broker
    stops to read from a connection that has published, and acks must get through. Each
    consumer has one of its own, from which it may stop to read. `operation_timeout` bounds
    every wait for the broker, in seconds. The URL may name several nodes of a cluster.
    """

    def __init__(
        self, url: str, *, namespace: str = "holdfast", operation_timeout: float = 10.0
    ) -> None:
        self._namespace = check_namespace(namespace)
        self._timeout = operation_timeout
        self._hosts = Hosts(parsed_hosts(url), operation_timeout)
        self._is_open = False

    @property
    def namespace(self) -> str:
        return self._namespace

    @property
    def is_local(self) -> bool:
        return False

    @property
    def blocked(self) -> bool:
        return self._is_open and self._publishing.blocked

    async def publish(self, publication: Publication) -> None:
        outgoing = self._require_open()
        check_publication(publication)
        await outgoing.publish(publication)

    async def consume(
        self, agent: str, *, prefetch: int = 1000, max_bytes: int = DEFAULT_MAX_BYTES
    ) -> RabbitConsumer:
        self._require_open()
        check_agent(agent)
        consumer = RabbitConsumer(
            Link(self._hosts, f"consuming {agent}"),
            self._namespace,
            agent,
            check_prefetch(prefetch),
            check_max_bytes(max_bytes),
            self._leave,
        )
        await self._start(consumer)
        return consumer

    async def open_reply_address(
        self, sender: str, on_reply: Callable[[ReplyDelivery], None]
    ) -> RabbitReplyAddress:
        self._require_open()
        new_name = partial(reply_queue_name, self._namespace, sender)
        address = RabbitReplyAddress(self._receiving, new_name, on_reply)
        await self._start(address)
        return address

    async def reply(self, address: str, body: bytes, correlation_id: str | None) -> bool:
        outgoing = self._require_open()
        check_body(body)
        if correlation_id is not None:
            check_short_string("correlation_id", correlation_id)
        return await outgoing.reply(address, body, correlation_id)

    async def dead_letter(self, delivery: Delivery, *, reason: str, error: str, agent: str) -> None:
        outgoing = self._require_open()
        check_body(delivery.body)
        await outgoing.dead_letter(delivery, reason=reason, error=error, agent=agent)

    async def resend(self, letter: DeadLetter) -> None:
        await self._require_open().resend(letter)

    @asynccontextmanager
    async def dead_letters(self) -> AsyncIterator[RabbitWalk]:
        self._require_open()
        walk = RabbitWalk(self._receiving, self._namespace, self._timeout)
        await self._start(walk)
        try:
            yield walk
        finally:
            await self._end(walk)

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
            self._receiving,
            self._namespace,
            exchange,
            check_patterns(patterns),
            on_message,
            on_ready,
            self._leave,
        )
        await self._start(listener)
        return listener

    async def journal(self, body: bytes) -> None:
        self._require_open()
        check_chunk(body)
        await self._journal.append(body)

    async def read_journal(
        self, *, since: datetime | None = None, follow: bool = False
    ) -> AsyncIterator[bytes]:
        self._require_open()
        async with aclosing(self._journal.read(check_since(since), follow=follow)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def _start(self, user: _Startable) -> None:
        self._users.append(user)
        try:
            await user.start(self._timeout)
        except BaseException:
            await self._end(user)
            raise

    async def _end(self, user: _Closable) -> None:
        await user.close()
        self._leave(user)

    def _leave(self, user: _Closable) -> None:
        """It has closed itself: it need not be closed, nor remembered, any more."""
        if user in self._users:
            self._users.remove(user)

    def _require_open(self) -> Outgoing:
        if not self._is_open:
            raise BusClosedError("The bus is not open")
        return self._outgoing

    async def __aenter__(self) -> Self:
        if self._is_open:
            raise RuntimeError("The bus is already open")
        self._publishing = Link(self._hosts, "publishing")
        self._receiving = Link(self._hosts, "receiving")
        self._publisher = Publisher(self._publishing, self._namespace, self._timeout)
        direct_replies = DirectReplies(self._hosts, self._namespace, self._timeout)
        self._outgoing = Outgoing(self._publisher, direct_replies, self._namespace)
        self._journal = Journal(self._receiving, self._publishing, self._namespace, self._timeout)
        self._announcer = Announcer(self._publishing, self._namespace, self._timeout)
        self._users: list[_Closable] = [
            self._publisher,
            direct_replies,
            self._announcer,
            self._journal,
        ]
        try:
            await self._publishing.supervisor.start(self._timeout)
            await self._receiving.supervisor.start(self._timeout)
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
                self._publishing.supervisor.close(), self._receiving.supervisor.close()
            )
