"""What a bus is: the contract that the in-process bus and RabbitMQ both keep.

A bus carries bytes. It knows routes, reply addresses and dead letters, and nothing of what
the bytes say. Both implementations pass the same test suite.

The topology is that of the wire contract, section 1.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self


@dataclass(frozen=True, slots=True)
class Publication:
    """One AMQP message on its way to an agent.

    `expiration_seconds` lets the broker drop what nobody will want any more; the deadline
    inside the message is what decides.
    """

    routing_key: str
    body: bytes
    correlation_id: str | None = None
    reply_to: str | None = None
    expiration_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """One AMQP message as it arrived, not yet settled.

    `tag` is the bus's own handle to settle it. `user_id` is the sender the broker vouches for.
    """

    body: bytes
    routing_key: str
    tag: object
    reply_to: str | None = None
    correlation_id: str | None = None
    message_id: str | None = None
    user_id: str | None = None
    redelivered: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReplyDelivery:
    """A reply as it arrived at a client's reply address."""

    body: bytes
    correlation_id: str | None


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
    """The reply queue of one client process. It survives a reconnect."""

    @property
    def address(self) -> str:
        """What to put into `reply_to`: `<namespace>.reply.<sender>.<random>`."""
        ...

    @property
    def generation(self) -> int:
        """Rises by one with every re-established connection: whoever waits for a reply
        may then want to ask again under the same message id."""
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
            UnavailableError: not confirmed in time; it may still be delivered.
            ValidationError: a key or property that AMQP cannot carry (over 255 bytes, or no
                UTF-8); nothing was sent.
            TooLargeError: the body is over 128 MiB; nothing was sent.
        """
        ...

    async def consume(self, agent: str, *, prefetch: int = 1000) -> Consumer:
        """Declare the agent's queue and dead-letter route, and start to consume.

        `prefetch` (1…65,535) bounds how many deliveries may be unsettled at once by this
        consumer.

        Raises:
            UnavailableError: not in time, or refused by the broker (the queue exists with
                other arguments, no permission): `details.reason` then names it.
            ValueError: `agent` does not match `^[a-z][a-z0-9_-]{0,62}$`, or a bad prefetch.
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

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...
