"""A proxy in front of any server on TCP."""

import asyncio
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from tests.chaos.proxy.connection import Connection, CutError, Screen
from tests.chaos.proxy.line import Weather
from tests.chaos.proxy.rules import Armed, Cut, How, Point, Rules, When
from tests.chaos.proxy.sockets import end

_LOOPBACK = "127.0.0.1"
_CONNECTED_WITHIN = 10.0  # seconds


class TcpProxy:
    """Listens on loopback as long as it is entered, and forwards to a server.

    It can be told at any time to cut (`cutting`, `cut_all`), to be slow (`weather`) or to
    swallow everything (`black_hole`). In each direction of a connection it holds 1 MiB at most;
    beyond that it does not read, so that the sender feels it. A client whose server does not
    take the connection sees a reset.

    Args:
        url: of the server; `proxied_url` is the same with the proxy's host and port.
        seed: of everything that it draws.
    """

    def __init__(self, url: str, *, seed: int = 0) -> None:
        self._url = urlsplit(url)
        assert self._url.hostname and self._url.port, "a URL with host and port"
        self._server = (self._url.hostname, self._url.port)
        self._random = Random(seed)
        self._listener: socket.socket | None = None
        self._listening: asyncio.Task[None] | None = None
        self._running: dict[asyncio.Task[None], Connection | None] = {}
        self._rules = Rules()
        self.weather = Weather(self._random)
        self.seen: Counter[Point] = Counter()
        """How much of what has passed whole, over all connections."""
        self.cuts: Counter[str] = Counter()
        """What it has cut, by rule in words."""
        self.opened = 0
        """How many connections it took."""

    @property
    def proxied_url(self) -> str:
        """The server's URL by way of this proxy."""
        assert self._listener is not None, "it does not listen"
        account, at, _ = self._url.netloc.rpartition("@")
        port = self._listener.getsockname()[1]
        return self._url._replace(netloc=f"{account}{at}{_LOOPBACK}:{port}").geturl()

    @property
    def open(self) -> int:
        """How many connections there are."""
        return len(self._running)

    async def __aenter__(self) -> Self:
        self._listener = socket.create_server((_LOOPBACK, 0), backlog=128)
        self._listener.setblocking(False)
        self._listening = asyncio.create_task(self._accept(self._listener))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._listening is not None
        assert self._listener is not None
        tasks = [self._listening, *self._running]
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        self._listener.close()
        for result in ended:
            if isinstance(result, Exception):
                raise result

    @contextmanager
    def cutting(self, cut: Cut) -> Iterator[Armed]:
        """The rule holds as long as this is entered; `Armed.struck` can be awaited."""
        armed = self._rules.set(cut)
        try:
            yield armed
        finally:
            self._rules.lift(armed)

    def cut_all(self, how: How = How.RESET) -> int:
        """Cut every connection wherever it stands; how many there were."""
        connections = [one for one in self._running.values() if one is not None]
        for connection in connections:
            connection.cut(how)
        self.cuts[f"{how} everything"] += 1
        return len(connections)

    @contextmanager
    def black_hole(self) -> Iterator[None]:
        """Nothing passes as long as this is entered, not even an end; then all that waited."""
        self.weather.swallow()
        try:
            yield
        finally:
            self.weather.release()

    def screens(self, connection: int) -> tuple[Screen, Screen]:
        """For what a new connection's client says, and for what its server says."""
        asked = _Chunks(self, connection, Point.ASKED)
        return asked, _Chunks(self, connection, Point.ANSWERED)

    def begins(self, point: Point, connection: int) -> None:
        """Something begins to pass. Raises CutError when a rule cuts before it."""
        self._obey(self._rules.begins(point, connection))

    def passes(self, point: Point, connection: int) -> Armed | None:
        """Its last part is about to pass: the rule that cuts within or after it."""
        armed = self._rules.passes(point, connection)
        if armed is None or armed.cut.when is When.AFTER:
            self.seen[point] += 1
        if armed is not None:
            self.cuts[str(armed.cut)] += 1
        return armed

    def _obey(self, armed: Armed | None) -> None:
        if armed is not None:
            self.cuts[str(armed.cut)] += 1
            raise CutError(armed)

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            client, _ = await loop.sock_accept(listener)
            self.opened += 1
            task = asyncio.create_task(self._serve(client, self.opened))
            self._running[task] = None
            task.add_done_callback(self._on_end)

    def _on_end(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or task.exception() is None:
            del self._running[task]  # one that failed stays, so that closing tells

    async def _serve(self, client: socket.socket, number: int) -> None:
        with client:
            server = await self._connect(client)
            if server is None:
                return
            with server:
                connection = Connection(client, server, self.weather, *self.screens(number))
                task = asyncio.current_task()
                assert task is not None
                self._running[task] = connection
                try:
                    await connection.run()
                finally:
                    self._rules.forget(number)

    async def _connect(self, client: socket.socket) -> socket.socket | None:
        await self.weather.passable()
        server = socket.socket()
        server.setblocking(False)
        try:
            async with asyncio.timeout(_CONNECTED_WITHIN):
                await asyncio.get_running_loop().sock_connect(server, self._server)
        except BaseException as error:
            server.close()
            end(client, How.RESET)
            if not isinstance(error, OSError | TimeoutError):
                raise
            return None
        for one in (client, server):
            one.setblocking(False)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return server


class _Chunks:
    """Counts chunks. See Screen."""

    holding = False

    def __init__(self, proxy: TcpProxy, connection: int, point: Point) -> None:
        self._proxy = proxy
        self._connection = connection
        self._point = point

    def take(self, chunk: bytes) -> Iterator[bytes]:
        self._proxy.begins(self._point, self._connection)
        armed = self._proxy.passes(self._point, self._connection)
        yield halved(chunk) if armed and armed.cut.when is When.WITHIN else chunk
        if armed is not None:
            raise CutError(armed)

    def rest(self) -> Iterator[bytes]:
        yield from ()


def halved(data: bytes) -> bytes:
    """Its first half, at least a byte."""
    return data[: max(1, len(data) // 2)]
