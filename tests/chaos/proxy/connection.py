"""One proxied connection: two sockets, and what flows between them in both directions."""

import asyncio
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from tests.chaos.proxy.line import Line, Weather
from tests.chaos.proxy.rules import Armed, How
from tests.chaos.proxy.sockets import delivered, end, ignore

_CHUNK = 64 * 1024
_HOLDING = 0.02  # seconds that a screen may hold back what nothing follows


class CutError(Exception):
    """A rule says: here."""

    def __init__(self, armed: Armed) -> None:
        super().__init__(str(armed.cut))
        self.armed = armed


class Screen(Protocol):
    """What a proxy does to the bytes of one direction of one connection."""

    @property
    def holding(self) -> bool:
        """Whether something waits for what follows it."""
        ...

    def take(self, chunk: bytes) -> Iterator[bytes]:
        """What is to be sent now. Raises CutError after the last bytes that may pass."""
        ...

    def rest(self) -> Iterator[bytes]:
        """What was held, as nothing follows. Raises CutError."""
        ...


@dataclass(frozen=True, slots=True)
class _Direction:
    source: socket.socket
    target: socket.socket
    screen: Screen
    line: Line


class Connection:
    """Forwards in both directions until one end goes, or a rule cuts.

    Args:
        asking: for the bytes from the client to the server.
        answering: for those from the server to the client.
    """

    def __init__(
        self,
        client: socket.socket,
        server: socket.socket,
        weather: Weather,
        asking: Screen,
        answering: Screen,
    ) -> None:
        self._client = client
        self._server = server
        self._weather = weather
        self._directions = (
            _Direction(client, server, asking, Line(weather)),
            _Direction(server, client, answering, Line(weather)),
        )
        self._stopped: asyncio.Future[How] = asyncio.get_running_loop().create_future()

    def cut(self, how: How) -> None:
        """Cut it here and now, wherever it stands."""
        if not self._stopped.done():
            self._stopped.set_result(how)

    async def run(self) -> None:
        """Until it is over; both sockets are closed then."""
        pumps = {
            asyncio.create_task(step)
            for direction in self._directions
            for step in (self._read(direction), self._write(direction))
        }
        try:
            error = await self._over(pumps)
            await _cancelled(pumps)
            if self._stopped.done():
                self._end(self._stopped.result())
            else:
                await self._end_by(error)
        finally:
            await _cancelled(pumps)
            self._stopped.cancel()
            self._client.close()
            self._server.close()

    async def _over(self, pumps: set[asyncio.Task[None]]) -> BaseException | None:
        """Until all have ended, one has failed, or the connection is to be cut."""
        left: set[asyncio.Future[Any]] = set(pumps)
        while left and not self._stopped.done():
            done, _ = await asyncio.wait(
                left | {self._stopped}, return_when=asyncio.FIRST_COMPLETED
            )
            for pump in left & done:
                if error := pump.exception():
                    return error
            left -= done
        return None

    def _end(self, how: How) -> None:
        end(self._client, how)
        end(self._server, how)

    async def _end_by(self, error: BaseException | None) -> None:
        match error:
            case None:
                return  # both ends have said that they are done, and heard it of each other
            case _CutHereError():
                await _cut(error.direction, error.armed)
            case OSError():
                self._end(How.RESET)
            case _:
                raise error

    async def _read(self, direction: _Direction) -> None:
        loop = asyncio.get_running_loop()
        chunk: bytes | None = b"-"
        while chunk:
            try:
                chunk = await loop.sock_recv(direction.source, _CHUNK)
            except OSError:
                chunk = None  # in the line, so that it arrives after what was sent before it
            await direction.line.put(chunk)

    async def _write(self, direction: _Direction) -> None:
        try:
            while chunk := await self._next(direction):
                await self._send(direction, direction.screen.take(chunk))
            await self._send(direction, direction.screen.rest())
        except CutError as error:
            raise _CutHereError(direction, error.armed) from None
        if chunk is None:
            raise ConnectionResetError
        direction.target.shutdown(socket.SHUT_WR)

    async def _next(self, direction: _Direction) -> bytes | None:
        if not direction.screen.holding:
            return await direction.line.get()
        try:
            async with asyncio.timeout(_HOLDING):
                return await direction.line.get()
        except TimeoutError:
            await self._send(direction, direction.screen.rest())
            return await direction.line.get()

    async def _send(self, direction: _Direction, pieces: Iterator[bytes]) -> None:
        loop = asyncio.get_running_loop()
        for piece in pieces:
            await self._weather.throttle(len(piece))
            await loop.sock_sendall(direction.target, piece)


class _CutHereError(Exception):
    def __init__(self, direction: _Direction, armed: Armed) -> None:
        super().__init__(str(armed.cut))
        self.direction = direction
        self.armed = armed


async def _cut(direction: _Direction, armed: Armed) -> None:
    cut = armed.cut
    if cut.how is How.SILENCE:
        sides = (direction.source, direction.target)
        await asyncio.gather(*(ignore(side, cut.linger) for side in sides))
        end(direction.source, How.RESET)
        end(direction.target, How.RESET)
    else:
        end(direction.source, cut.how)
        await delivered(direction.target)
        await ignore(direction.target, cut.linger)
        end(direction.target, cut.how)
    armed.struck.set()


async def _cancelled(tasks: set[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
