"""The doctor's look at the broker: version, topology, and who serves.

Everything is asked passively: what is missing stays missing.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import aiormq
from aiormq.abc import AbstractChannel, AbstractConnection
from aiormq.exceptions import ChannelNotFoundEntity, InvalidFrameError

from holdfast_agents.settings import Settings
from holdfast_protocol.bus.rabbitmq.connection import parsed_url
from holdfast_protocol.bus.rabbitmq.driver import (
    REFUSED,
    ConnectionLostError,
    ConnectionRefusedByBrokerError,
    close_quietly,
    describe,
    lost_connections,
)

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
    try:
        async with _connected(settings.bus.get_secret_value()) as connection:
            version = _version(connection)
            return [version, *await _topology(connection, settings)]
    except (ConnectionLostError, TimeoutError):
        advice = "is it running, and do host and port in HOLDFAST_BUS hold?"
        return [Finding(Level.FAIL, _SUBJECT, "it cannot be reached", advice)]
    except REFUSED as error:
        advice = "check user, password and virtual host in HOLDFAST_BUS"
        return [Finding(Level.FAIL, _SUBJECT, f"it refused us: {describe(error)}", advice)]


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[AbstractConnection]:
    with lost_connections():
        try:
            async with asyncio.timeout(_TIMEOUT):
                connection = await aiormq.connect(parsed_url(url))
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
