"""The doctor's look at the broker: version, topology, and who serves.

Everything is asked passively: what is missing stays missing.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import aiormq
from aiormq.abc import AbstractChannel, AbstractConnection
from aiormq.exceptions import ChannelNotFoundEntity, InvalidFrameError
from yarl import URL

from holdfast_agents.settings import Settings
from holdfast_protocol.bus.rabbitmq.driver import (
    REFUSED,
    ConnectionLostError,
    ConnectionRefusedByBrokerError,
    close_quietly,
    describe,
    lost_connections,
)
from holdfast_protocol.bus.rabbitmq.hosts import host_text, parsed_hosts

from .doctor_findings import Finding, Level

_OLDEST: Final = (3, 10)
_TIMEOUT: Final = 10.0
_SUBJECT: Final = "broker"


@dataclass(frozen=True, slots=True)
class _Queue:
    """A queue that exists: how much waits in it, and how many consume it."""

    messages: int
    consumers: int


async def examine_broker(settings: Settings) -> list[Finding]:
    """Version, exchanges, and each agent's queue."""
    urls = parsed_hosts(settings.bus.get_secret_value())
    looks = await asyncio.gather(*(_look(url, settings) for url in urls))
    if len(urls) == 1:
        return looks[0].found
    return _of_cluster([(host_text(url), look) for url, look in zip(urls, looks, strict=True)])


@dataclass(frozen=True, slots=True)
class _Look:
    """What was found on one host; `served` when it let us in."""

    served: bool
    found: list[Finding]


async def _look(url: URL, settings: Settings) -> _Look:
    try:
        async with _connected(url) as connection:
            version = _version(connection)
            return _Look(True, [version, *await _topology(connection, settings)])
    except (ConnectionLostError, TimeoutError):
        advice = "is it running, and do host and port in HOLDFAST_BUS hold?"
        return _Look(False, [Finding(Level.FAIL, _SUBJECT, "it cannot be reached", advice)])
    except REFUSED as error:
        advice = "check user, password and virtual host in HOLDFAST_BUS"
        text = f"it refused us: {describe(error)}"
        return _Look(False, [Finding(Level.FAIL, _SUBJECT, text, advice)])


def _of_cluster(looks: Sequence[tuple[str, _Look]]) -> list[Finding]:
    """One line for each node, and what one of them tells of all. A node that is away is a
    failure only when no other one serves."""
    told = next((look for _, look in looks if look.served), None)
    found = []
    for host, look in looks:
        first = look.found[0]
        level = first.level if look.served or told is None else Level.WARN
        found.append(Finding(level, _SUBJECT, f"{host}: {first.text}", first.advice))
    return found if told is None else [*found, *told.found[1:]]


@asynccontextmanager
async def _connected(url: URL) -> AsyncIterator[AbstractConnection]:
    with lost_connections():
        try:
            async with asyncio.timeout(_TIMEOUT):
                connection = await aiormq.connect(url)
        except InvalidFrameError as error:
            # So the driver reports a Connection.Close in answer to Connection.Open.
            raise ConnectionRefusedByBrokerError("there is no such virtual host") from error
        try:
            yield connection
        finally:
            await connection.close()


def _version(connection: AbstractConnection) -> Finding:
    told = connection.server_properties.get("version", "")
    text = told.decode() if isinstance(told, bytes) else str(told)
    parts = [int(part) for part in text.split(".")[:2] if part.isdecimal()]
    product = connection.server_properties.get("product", "")
    name = product.decode() if isinstance(product, bytes) else str(product)
    if tuple(parts) >= _OLDEST:
        return Finding(Level.OK, _SUBJECT, f"{name} {text} is reachable")
    advice = "use RabbitMQ 3.10 or later: quorum queues need it"
    return Finding(Level.FAIL, _SUBJECT, f"{name} {text or 'of unknown version'}", advice)


async def _topology(connection: AbstractConnection, settings: Settings) -> list[Finding]:
    space = settings.namespace
    exchanges = [f"{space}.{name}" for name in ("messages", "events", "control", "dead")]
    missing = [name for name in exchanges if not await _has_exchange(connection, name)]
    if missing:
        text = f"not declared yet: {', '.join(missing)}"
        found = [Finding(Level.WARN, "topology", text, "the first `holdfast serve` declares them")]
    else:
        found = [Finding(Level.OK, "topology", f"the exchanges of {space} are there")]
    for agent in settings.agents:
        found.append(_served(agent, await _queue(connection, f"{space}.agent.{agent}")))
    dead = await _queue(connection, f"{space}.dead-letters")
    if dead is not None and dead.messages:
        text = f"{dead.messages:,} dead letters wait in {space}.dead-letters"
        advice = "their header x-holdfast-reason tells why; remove what was seen to"
        found.append(Finding(Level.WARN, "topology", text, advice))
    return found


def _served(agent: str, queue: _Queue | None) -> Finding:
    start = f"start `holdfast serve --agents {agent}`"
    if queue is None:
        return Finding(Level.WARN, "agents", f"{agent} has no queue yet", start)
    waiting = f"{queue.messages:,} messages wait"
    if not queue.consumers:
        return Finding(Level.WARN, "agents", f"nobody serves {agent}; {waiting}", start)
    return Finding(Level.OK, "agents", f"{agent} is served by {queue.consumers:,}; {waiting}")


async def _has_exchange(connection: AbstractConnection, name: str) -> bool:
    async with _channel(connection) as channel:
        try:
            await channel.exchange_declare(name, passive=True, timeout=_TIMEOUT)
        except ChannelNotFoundEntity:
            return False
        return True


async def _queue(connection: AbstractConnection, name: str) -> _Queue | None:
    async with _channel(connection) as channel:
        try:
            told = await channel.queue_declare(name, passive=True, timeout=_TIMEOUT)
        except ChannelNotFoundEntity:
            return None
        return _Queue(told.message_count or 0, told.consumer_count or 0)


@asynccontextmanager
async def _channel(connection: AbstractConnection) -> AsyncIterator[AbstractChannel]:
    """A channel for one question: the answer "no" closes it."""
    channel = await connection.channel(publisher_confirms=False)
    try:
        yield channel
    finally:
        await close_quietly(channel)
