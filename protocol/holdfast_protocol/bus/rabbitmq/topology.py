"""The broker objects of a namespace. Source: the wire contract, section 1.

Whatever an operator may want to tune (time to live, lengths, delivery limits) belongs in a
policy: an argument here can never change again without deleting the queue.
"""

import secrets

from aiormq import Channel

from holdfast_protocol.bus.messages import BroadcastExchange

_REPLY_EXPIRES_MS = 30 * 60 * 1000
_MAX_JOURNAL_BYTES = 10_000_000_000
_MAX_LISTENER_BYTES = 256 * 1024 * 1024
_TIMEOUT = 10.0  # seconds, for each answer of the broker


def messages_exchange(namespace: str) -> str:
    return f"{namespace}.messages"


def agent_queue(namespace: str, agent: str) -> str:
    return f"{namespace}.agent.{agent}"


def broadcast_exchange(namespace: str, exchange: BroadcastExchange) -> str:
    return f"{namespace}.{exchange}"


def dead_letters_queue(namespace: str) -> str:
    return f"{namespace}.dead-letters"


def journal_queue(namespace: str) -> str:
    return f"{namespace}.journal"


def dead_exchange(namespace: str) -> str:
    return f"{namespace}.dead"


async def declare_exchanges(channel: Channel, namespace: str) -> None:
    """The exchanges, and the queue of dead letters, so that none of them can miss it."""
    for name in ("messages", "events", "changes", "control"):
        await channel.exchange_declare(
            f"{namespace}.{name}", exchange_type="topic", durable=True, timeout=_TIMEOUT
        )
    dead, dead_letters = dead_exchange(namespace), dead_letters_queue(namespace)
    await channel.exchange_declare(dead, exchange_type="fanout", durable=True, timeout=_TIMEOUT)
    await channel.queue_declare(
        dead_letters, durable=True, arguments={"x-queue-type": "quorum"}, timeout=_TIMEOUT
    )
    await channel.queue_bind(dead_letters, dead, timeout=_TIMEOUT)


async def declare_agent_queue(channel: Channel, namespace: str, agent: str) -> str:
    """The queue that all processes of an agent compete on. Returns its name."""
    queue = agent_queue(namespace, agent)
    await channel.queue_declare(
        queue,
        durable=True,
        arguments={
            "x-queue-type": "quorum",
            "x-dead-letter-exchange": dead_exchange(namespace),
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",  # at-least-once dead-lettering needs it
        },
        timeout=_TIMEOUT,
    )
    await channel.queue_bind(
        queue, messages_exchange(namespace), routing_key=f"{agent}.#", timeout=_TIMEOUT
    )
    return queue


async def declare_reply_queue(channel: Channel, queue: str) -> None:
    """A client's reply queue, gone 30 minutes after its last use."""
    await channel.queue_declare(
        queue,
        durable=True,
        arguments={"x-queue-type": "classic", "x-expires": _REPLY_EXPIRES_MS},
        timeout=_TIMEOUT,
    )


async def declare_listener_queue(channel: Channel, namespace: str) -> str:
    """A listener's queue, gone with its connection. Returns its name, never the same again.

    A listener that hangs loses the oldest beyond 256 MiB, and does not fill the broker.
    """
    queue = f"{namespace}.listen.{secrets.token_hex(12)}"
    await channel.queue_declare(
        queue,
        exclusive=True,
        auto_delete=True,
        arguments={"x-queue-type": "classic", "x-max-length-bytes": _MAX_LISTENER_BYTES},
        timeout=_TIMEOUT,
    )
    return queue


async def declare_journal(channel: Channel, namespace: str) -> None:
    """The journal, of which the broker keeps the newest 10 GB (a policy may say otherwise)."""
    await channel.queue_declare(
        journal_queue(namespace),
        durable=True,
        arguments={"x-queue-type": "stream", "x-max-length-bytes": _MAX_JOURNAL_BYTES},
        timeout=_TIMEOUT,
    )
