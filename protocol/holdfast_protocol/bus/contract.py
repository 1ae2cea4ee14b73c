"""What a bus is: the contract that the in-process bus and RabbitMQ both keep.

A bus carries bytes. It knows routes, reply addresses and dead letters, and nothing of what
the bytes say. Both implementations pass the same test suite.

The topology is that of the wire contract, section 1.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from types import TracebackType
from typing import Protocol, Self

from holdfast_protocol.bus.messages import (
    Announcement,
    Broadcast,
    BroadcastExchange,
    DeadLetter,
    Delivery,
    Publication,
    ReplyDelivery,
)

__all__ = [
    "DEFAULT_MAX_BYTES",
    "Announcement",
    "Broadcast",
    "BroadcastExchange",
    "Bus",
    "Consumer",
    "DeadLetter",
    "DeadLetters",
    "Delivery",
    "Listener",
    "Publication",
    "ReplyAddress",
    "ReplyDelivery",
]

DEFAULT_MAX_BYTES = 64 * 1024 * 1024
"""Bytes of bodies that a consumer holds unsettled, unless told otherwise."""


class Consumer(Protocol):
    """A live subscription of one agent process to its agent's queue."""

    async def receive(self) -> list[Delivery]:
        """Everything that has arrived and was not yet received: at least one delivery.

        Waits while there is none. After `cancel`, what had arrived before is still handed
        out; then an empty list, for ever. Survives a restart of the broker: unsettled
        deliveries of a lost connection come again as new deliveries (`redelivered`).
        """
        ...

    async def ack(self, deliveries: list[Delivery]) -> None:
        """Settle as done. An ack that could not reach the broker is not an error: the
        message will come again, and its identity makes that harmless."""
        ...

    async def requeue(self, deliveries: list[Delivery]) -> None:
        """Give back, to be delivered again (to this process or another)."""
        ...

    async def cancel(self) -> None:
        """Take nothing more; what was handed out can still be settled."""
        ...

    @property
    def connected(self) -> bool:
        """Whether deliveries can arrive now (readiness follows this)."""
        ...


class ReplyAddress(Protocol):
    """The reply queue of one client process. It survives a reconnect, but not the death of
    the cluster's node that has it: then there is another one."""

    @property
    def address(self) -> str:
        """What to put into `reply_to`: `<namespace>.reply.<sender>.<random>`.

        Look at it for each message: it may be another one in a later generation.
        """
        ...

    @property
    def generation(self) -> int:
        """Rises by one with every re-established connection: whoever waits for a reply
        may then want to ask again under the same message id."""
        ...


class Listener(Protocol):
    """A queue of this process's own on a broadcast exchange."""

    @property
    def connected(self) -> bool:
        """Whether broadcasts can arrive now; those announced meanwhile are missed."""
        ...

    async def close(self) -> None:
        """Hear nothing more. Closing the bus does it too."""
        ...


class DeadLetters(Protocol):
    """A walk through the dead letters: whoever walks at the same time meets other letters."""

    @property
    def total(self) -> int:
        """How many there were to meet when it was opened."""
        ...

    async def take(self, limit: int) -> list[DeadLetter]:
        """The next ones: at most `limit` (1 or more), and at most about 16 MiB of bodies, but
        one at least; empty after the last of those that were there at the opening.

        Raises UnavailableError when the broker does not answer or the connection was lost:
        then the walk is over, and what was not removed is back.
        """
        ...

    async def remove(self, letters: Sequence[DeadLetter]) -> None:
        """Gone for good once this returns; letters that another walk took are left alone.

        Raises UnavailableError: they may be there still.
        """
        ...


class Bus(Protocol):
    """One process's access to a broker. An async context manager; open before use.

    Every wait for the broker is bounded by the bus's timeouts (seconds); what takes longer
    raises `UnavailableError`. All methods raise `BusClosedError` when the bus is not open.
    """

    @property
    def namespace(self) -> str:
        """The prefix of every broker object, `holdfast` by default."""
        ...

    @property
    def is_local(self) -> bool:
        """Whether all who can meet on it live in this process."""
        ...

    @property
    def blocked(self) -> bool:
        """Whether the broker takes no messages now (a memory or disk alarm)."""
        ...

    async def publish(self, publication: Publication) -> None:
        """Publish to the messages exchange, confirmed by the broker, persistent.

        Returns when the broker has taken responsibility. Waits, bounded, while reconnecting
        or while the agent's queue is full. What was not confirmed when the connection was
        lost is sent again under another AMQP message id, so it may arrive twice: the id
        inside the body is what makes that harmless.

        Raises:
            NoRouteError: no queue is bound for the routing key; nothing was delivered.
            OverloadedError: the agent's queue takes no more, and did not all the time;
                `details.retry_after_seconds`. Nothing was delivered.
            UnavailableError: not confirmed in time; it may still be delivered.
            ValidationError: a key or property that AMQP cannot carry (over 255 bytes, or no
                UTF-8); nothing was sent.
            TooLargeError: the body is over 128 MiB; nothing was sent.
        """
        ...

    async def consume(
        self, agent: str, *, prefetch: int = 1000, max_bytes: int = DEFAULT_MAX_BYTES
    ) -> Consumer:
        """Declare the agent's queue and dead-letter route, and start to consume.

        `prefetch` (1…65,535) bounds how many deliveries may be unsettled at once by this
        consumer, and `max_bytes` (1 or more) their bodies: beyond it nothing more is taken
        until some are settled. One body larger than that is taken alone.

        Raises:
            UnavailableError: not in time, or refused by the broker (the queue exists with
                other arguments, no permission): `details.reason` then names it.
            ValueError: `agent` does not match `^[a-z][a-z0-9_-]{0,62}$`, or a bad prefetch or
                max_bytes.
        """
        ...

    async def open_reply_address(
        self, sender: str, on_reply: Callable[[ReplyDelivery], None]
    ) -> ReplyAddress:
        """Declare this process's reply queue. `on_reply` is called on the event loop for each
        reply; it must not block or raise. Replies are settled when it returns.

        Raises UnavailableError when not in time.
        """
        ...

    async def reply(self, address: str, body: bytes, correlation_id: str | None) -> bool:
        """Send a reply through the default exchange, confirmed.

        Returns False when nobody listens at the address any more, its queue takes no more (the
        reply is dropped: whoever misses it asks again), or the address is none. For the broker's
        direct reply-to (`amq.rabbitmq.reply-to…`) True tells little: the broker does not say.

        Raises:
            UnavailableError: not confirmed in time.
            ValidationError, TooLargeError: as for `publish`.
        """
        ...

    async def dead_letter(self, delivery: Delivery, *, reason: str, error: str, agent: str) -> None:
        """Put a delivery into the dead letters, with the reason, confirmed. It does not
        settle the delivery. Headers that a sender may have forged (`x-death`,
        `x-holdfast-*`) are not carried over; `error` is cut to 1,000 characters.

        Raises:
            UnavailableError: not confirmed in time.
        """
        ...

    def dead_letters(self) -> AbstractAsyncContextManager[DeadLetters]:
        """A walk through the dead letters, oldest first: on RabbitMQ only about so, see below.

        Leaving it, or the end of the process, gives back what was not removed; many letters come
        back in another order on RabbitMQ. Entering raises UnavailableError when not in time.
        """
        ...

    async def resend(self, letter: DeadLetter) -> None:
        """Publish a dead letter again by its original route, persistent, confirmed, with its
        message id, reply address, correlation id and harmless headers, and the count of its
        attempts. It does not remove the letter.

        Raises NoRouteError, OverloadedError or UnavailableError as `publish` does.
        """
        ...

    async def announce(self, announcements: Sequence[Announcement]) -> list[bool]:
        """Publish to everybody who is bound, in the order given, persistent, confirmed.

        Returns for each whether any queue is bound for it. The order is kept absolutely: after
        a lost connection nothing is sent again by itself; the caller begins again from what it
        knows (a prefix was delivered, perhaps). A queue that takes no more counts as
        delivered: one slow listener never stops the others, except for some seconds after a
        lost connection, and in a cluster after the first rejection, when its queues may be
        without a leader.

        Raises:
            UnavailableError: not all confirmed in time, the connection was lost, or it was a
                moment ago or the bus is a cluster, and a queue takes nothing.
            ValidationError, TooLargeError: as for `publish`, before anything was sent.
        """
        ...

    async def listen(
        self,
        exchange: BroadcastExchange,
        patterns: Sequence[str],
        on_message: Callable[[Broadcast], None],
        on_ready: Callable[[], None] | None = None,
    ) -> Listener:
        """Hear what is announced under any of the topic patterns (`*` is one word, `#` any
        number), on a queue of this process's own that goes when its connection does.

        `on_message` is called on the event loop and must not block; what both raise is logged.
        `on_ready` is called each time that the queue is bound and consumed, the first time
        before this returns: whatever was announced while it was not is missed.

        Raises UnavailableError when not in time or refused by the broker, and ValidationError
        for a pattern that AMQP cannot carry, or none at all.
        """
        ...

    async def journal(self, body: bytes) -> None:
        """Append one chunk (JSON Lines, not empty) to the journal, confirmed.

        The journal is declared at the first use. A chunk whose confirm was lost with the
        connection is appended again, so it may be there twice.

        Raises:
            UnavailableError: not confirmed in time; it may be there nevertheless.
            TooLargeError: the body is over 128 MiB.
        """
        ...

    def read_journal(
        self, *, since: datetime | None = None, follow: bool = False
    ) -> AsyncIterator[bytes]:
        """The chunks of the journal, up to the last that was there when the reading began;
        with `follow`, on for ever. Empty when there is no journal and nothing to follow.

        With `since` (with a time zone), from the first that was appended at or after it; to
        the granularity of the broker, so that earlier ones may come too. A lost connection
        leaves no hole and repeats nothing.

        Raises UnavailableError when the broker does not answer in time, and BusClosedError when
        the bus was closed meanwhile.
        """
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...
