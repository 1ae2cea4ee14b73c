"""A supervised connection to RabbitMQ, and the channels on it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from math import inf
from time import monotonic

import aiormq
from aiormq.exceptions import InvalidFrameError
from yarl import URL

from holdfast_protocol.bus.rabbitmq.driver import (
    REFUSED,
    REFUSED_EVERYWHERE,
    ConnectionLostError,
    ConnectionRefusedByBrokerError,
    close_quietly,
    describe,
    lost_connections,
)
from holdfast_protocol.bus.rabbitmq.hosts import Hosts, host_text
from holdfast_protocol.bus.rabbitmq.supervision import Supervisor
from holdfast_protocol.bus.rabbitmq.transport import FrameReader, FrameTransport, Tap

_log = logging.getLogger("holdfast.bus")

_CHANNEL_TIMEOUT = 10.0


class WatchedConnection(aiormq.Connection):
    """The driver's connection, which notices a silent peer after 22 seconds and not 33."""

    HEARTBEAT_GRACE_MULTIPLIER = 2
    # Frames to write wait without a bound: nobody takes them from a lost connection, and whoever
    # waited for room there would wait for ever. The publishers bound what is under way.
    FRAME_BUFFER_SIZE = 0

    def __init__(self, url: URL, transport: FrameTransport, name: str) -> None:
        super().__init__(
            url,
            transport_factory=transport,
            client_properties={"connection_name": f"holdfast {name}"},
        )
        self._transport = transport

    @property
    def reader(self) -> FrameReader:
        """What the connection reads from. Raises ConnectionLostError before it is open."""
        if self._transport.reader is None:
            raise ConnectionLostError("not open")
        return self._transport.reader


def reader_of(channel: aiormq.Channel) -> FrameReader:
    """What the channel's connection reads from."""
    connection = channel.connection
    if not isinstance(connection, WatchedConnection):
        raise TypeError(f"expected a connection of ours, not {type(connection).__name__}")
    return connection.reader


def tap_channel(channel: aiormq.Channel, tap: Tap) -> None:
    """Show the channel's frames to `tap` before the driver, until the channel closes."""
    reader, number = reader_of(channel), channel.number
    reader.tap(number, tap)
    channel.closing.add_done_callback(lambda _: reader.untap(number, tap))


class Link:
    """One connection, made again whenever it is lost, and whether the broker blocks it.

    Where the broker has several hosts, each attempt tries them all in turn.
    """

    def __init__(self, hosts: Hosts, name: str) -> None:
        self._hosts = hosts
        self._name = name
        self._url: URL | None = None
        self.lost_at = -inf
        """When a connection was last lost, in seconds of the monotonic clock."""
        self._unblocked = asyncio.Event()
        self._unblocked.set()
        self.supervisor = Supervisor(f"{name} connection", self._connect, on_lost=self._lost)

    @property
    def has_several_hosts(self) -> bool:
        """Whether this is a cluster, of which another node than ours may be lost, too."""
        return len(self._hosts.in_turn()) > 1

    @property
    def blocked(self) -> bool:
        """Whether the broker takes nothing on this connection now (a memory or disk alarm)."""
        return not self._unblocked.is_set()

    async def unblocked(self) -> None:
        """Until the broker takes something again."""
        await self._unblocked.wait()

    async def open_channel(
        self, prepare: Callable[[aiormq.Channel], Awaitable[None]], *, confirms: bool = False
    ) -> aiormq.Channel:
        """A new, prepared channel as soon as there is a connection.

        Raises ConnectionLostError, TimeoutError, BusClosedError, or what the broker refuses.
        """
        connection = await self.supervisor.get()
        with lost_connections():
            async with asyncio.timeout(_CHANNEL_TIMEOUT):
                channel = await _new_channel(connection, confirms)
            try:
                await prepare(channel)
            except BaseException:
                await close_quietly(channel)
                raise
        return channel

    async def _connect(self) -> WatchedConnection:
        failures: list[tuple[URL, Exception]] = []
        for url in self._hosts.in_turn():
            try:
                connection = await self._connect_to(url)
            except (ConnectionLostError, TimeoutError, *REFUSED) as error:
                _log.debug("No %s connection to %s: %s", self._name, host_text(url), error)
                self._hosts.put_last(url)
                failures.append((url, error))
            else:
                self._hosts.answered()
                self._url = url
                return connection
        self._hosts.none_answered()
        raise _failure_of_all(failures)

    async def _connect_to(self, url: URL) -> WatchedConnection:
        connection = WatchedConnection(url, FrameTransport(self._on_blocked), self._name)
        with lost_connections():
            try:
                async with asyncio.timeout(self._hosts.attempt_timeout):
                    await connection.connect()
            except InvalidFrameError as error:
                # So the driver reports a Connection.Close in answer to Connection.Open.
                raise ConnectionRefusedByBrokerError(
                    "closed while opening: is there such a virtual host, open to this user?"
                ) from error
        return connection

    def _lost(self) -> None:
        self._unblocked.set()
        self.lost_at = monotonic()
        if self._url is not None:
            self._hosts.put_last(self._url)

    def _on_blocked(self, blocked: bool) -> None:
        if blocked:
            self._unblocked.clear()
            _log.warning("The broker blocks the %s connection", self._name)
        else:
            self._unblocked.set()
            _log.info("The broker takes messages on the %s connection again", self._name)


async def _new_channel(connection: WatchedConnection, confirms: bool) -> aiormq.Channel:
    try:
        channel = await connection.channel(publisher_confirms=confirms, on_return_raises=confirms)
    except RuntimeError as error:  # the driver's word for a closed connection
        raise ConnectionLostError("closed") from error
    if not isinstance(channel, aiormq.Channel):
        raise TypeError(f"expected the driver's channel, not {type(channel).__name__}")
    return channel


def _failure_of_all(failures: Sequence[tuple[URL, Exception]]) -> Exception:
    """What came of an attempt at all hosts. A refusal, where each of them refuses us, or one
    for a reason that is not its own: of a node that starts or ends, others know better."""
    refusals = [error for _, error in failures if isinstance(error, REFUSED)]
    decided = [error for error in refusals if isinstance(error, REFUSED_EVERYWHERE)]
    if decided or len(refusals) == len(failures):
        return (decided or refusals)[0]
    if len(failures) == 1:
        return failures[0][1]
    told = "; ".join(f"{host_text(url)}: {describe(error)}" for url, error in failures)
    return ConnectionLostError(f"no host answers ({told})")
