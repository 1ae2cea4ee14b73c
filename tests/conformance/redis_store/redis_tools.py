"""Private Redis servers with settings of their own, a lossy wire, and short words for stores."""

import asyncio
import shutil
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TypeVar

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, BusyLoadingError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError

from holdfast_backends.encoding import integer_key
from holdfast_backends.redis_store import RedisStore
from holdfast_backends.store import (
    Changes,
    CommitConflictError,
    Head,
    IndexSlot,
    Row,
    RowChange,
    Span,
    Unit,
    Wanted,
)
from holdfast_backends.values import JsonObject, encode_json
from tests.missing import missing

T = TypeVar("T")

SAFE = ("--appendonly", "yes", "--appendfsync", "always")


class RedisServer:
    """A redis-server of this test, on a loopback port, with its data in a directory."""

    def __init__(self, directory: Path, options: Sequence[str]) -> None:
        self._directory = directory
        self._options = options
        self._process: asyncio.subprocess.Process | None = None
        self.port = _free_port()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    async def start(self) -> None:
        binary = shutil.which("redis-server")
        if binary is None:
            missing("redis-server is not on the path; run: scripts/services up")
        self._process = await asyncio.create_subprocess_exec(
            binary,
            *("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._directory)),
            *("--save", "", *self._options),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        async with asyncio.timeout(20), self.client() as client:
            while not await _answers(client):  # noqa: ASYNC110 — another process's state
                await asyncio.sleep(0.02)

    def client(self) -> Redis:
        return Redis(host="127.0.0.1", port=self.port, retry=Retry(NoBackoff(), 0))

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    async def stop(self, number: signal.Signals = signal.SIGKILL) -> None:
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(number)
        await self._process.wait()
        self._process = None


async def _answers(client: Redis) -> bool:
    try:
        await client.ping()
    except BusyLoadingError:
        return False
    except (AuthenticationError, ResponseError):
        return True  # it refuses something, so it is there
    except RedisConnectionError:
        return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def redis_server(directory: Path, *options: str) -> AsyncIterator[RedisServer]:
    """A running server; the options come behind those of a safe one."""
    server = RedisServer(directory, (*SAFE, *options))
    try:
        await server.start()
        yield server
    finally:
        await server.stop()


class LossyWire:
    """A proxy that can swallow answers: the server did what it was told, and nobody hears of it."""

    def __init__(self) -> None:
        self.is_lossy = False
        self.swallowed = 0
        self.port = 0

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool
    ) -> None:
        try:
            while data := await reader.read(65_536):
                if answers and self.is_lossy:
                    self.swallowed += 1
                    break
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass  # the other side is gone, and so is this one below
        finally:
            writer.close()

    @asynccontextmanager
    async def to(self, host: str, port: int) -> AsyncIterator["LossyWire"]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            far_reader, far_writer = await asyncio.open_connection(host, port)
            await asyncio.gather(
                self._pump(reader, far_writer, answers=False),
                self._pump(far_reader, writer, answers=True),
            )

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()


# -- short words -------------------------------------------------------------------------------


def row(number: int, document: JsonObject | None = None, **facts: int) -> Row:
    """A row with an integer id; without a document a tombstone."""
    text = None if document is None else encode_json({"id": number, **document})
    version = facts.get("version", 1)
    return Row(integer_key(number), version, text, 1, 1, facts.get("expires_at"))


async def put(
    unit: Unit, rows: Sequence[Row], collection: str = "tasks", slots: Sequence[IndexSlot] = ()
) -> None:
    """Commit rows over what is there."""
    places = [(collection, new.key) for new in rows]
    loaded = await unit.load(Wanted([collection], places, []))
    changes = Changes()
    for place, new in zip(places, rows, strict=True):
        changes.rows[place] = RowChange(loaded.rows.get(place), new)
    head = loaded.heads.get(collection, Head())
    wanted_slots = tuple(slots) or head.slots
    if wanted_slots:
        changes.slots[collection] = wanted_slots
    if wanted_slots != head.slots:
        changes.heads[collection] = Head(head.next_id, wanted_slots)
    await unit.commit(changes)


async def keep(
    store: RedisStore, *rows: Row, collection: str = "tasks", slots: Sequence[IndexSlot] = ()
) -> None:
    """Put rows in a unit of their own."""
    async with store.write([collection]) as unit:
        await put(unit, rows, collection, slots)


async def contents(store: RedisStore, collection: str = "tasks") -> list[Row]:
    """All live rows."""
    async with store.read() as snapshot:
        return list(await snapshot.scan(Span(collection), 100_000))


async def persist(attempt: Callable[[], Awaitable[T]], *, most: int = 50) -> tuple[T, int]:
    """Begin again after conflicts, as the executor does; the result, and how many tries it took."""
    for count in range(1, most + 1):
        try:
            return await attempt(), count
        except CommitConflictError:
            continue
    pytest.fail(f"still in conflict after {most} attempts")
