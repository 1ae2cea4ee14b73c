"""What a bus carries, as plain values: messages, replies, broadcasts and dead letters."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypeAlias

BroadcastExchange: TypeAlias = Literal["events", "changes", "control"]
"""The exchanges that copy a message to everybody who is bound."""


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
    `attempts` counts its deliveries with this one, also those before it was a dead letter and
    was sent again; a sender can make it too large, so it informs and decides nothing.
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
    attempts: int = 1


@dataclass(frozen=True, slots=True)
class ReplyDelivery:
    """A reply as it arrived at a client's reply address."""

    body: bytes
    correlation_id: str | None


@dataclass(frozen=True, slots=True)
class Announcement:
    """One message to everybody who is bound.

    `message_id` is the AMQP property, the same when the same thing is announced again.
    """

    exchange: BroadcastExchange
    routing_key: str
    body: bytes
    message_id: str | None = None


@dataclass(frozen=True, slots=True)
class Broadcast:
    """An announcement as it arrived at a listener. `user_id`: who the broker vouches for."""

    routing_key: str
    body: bytes
    message_id: str | None = None
    user_id: str | None = None


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that was given up, as a walk through the dead letters meets it.

    Attributes:
        id: its AMQP message id; without one, a digest of body, routing key and time. Letters of
            the same message share it.
        routing_key: that under which it was sent.
        reason: an error type or a word such as `expired`, by an agent or the broker.
        error: what the agent said, perhaps nothing.
        agent: who gave it up, or from whose queue the broker took it; empty when unknown.
        at: when it was given up (UTC), where that is known.
        attempts: how often it was delivered, at least 1, as far as that is known.
        headers: all AMQP headers as texts; whoever may publish can have forged them.
        tag: the bus's own handle to remove it.
    """

    id: str
    body: bytes
    routing_key: str
    reason: str
    error: str
    agent: str
    at: datetime | None
    attempts: int
    reply_to: str | None
    correlation_id: str | None
    headers: Mapping[str, str]
    tag: object
