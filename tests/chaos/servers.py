"""Servers of the suite's own, to be killed and started again on their ports."""

import asyncio
import os
import secrets
import shutil
import signal
import time
import warnings
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import aiormq
import asyncpg

from localservices import packages, probes
from localservices.model import Record, Service, ServiceError
from localservices.postgres import Postgres as PostgresService
from localservices.postgres import binary, run_as, unprivileged_user
from localservices.processes import free_ports, is_running
from localservices.rabbitmq import RabbitMQ as RabbitMQService
from localservices.redis import Redis as RedisService
from tests.chaos.processes import StillThereError, children_of, command_of, end_of, gone

PATIENCE: Final = 120.0
"""Seconds within which a server has to accept connections, on a busy machine."""
_POLL: Final = 0.03  # seconds between two tries to connect
_TRY: Final = 5  # seconds for one try


def install_all() -> None:
    """Have the programs of all servers on this machine. Raises ServiceError."""
    services: tuple[Service, ...] = (RabbitMQService(), PostgresService(), RedisService())
    absent = [service for service in services if not service.installed()]
    packages.install([name for service in absent for name in service.packages], lambda _line: None)


class Server(ABC):
    """One server in a directory of its own; its port and its password stay as they are."""

    def __init__(self, service: Service, folder: Path) -> None:
        self.turn = asyncio.Lock()
        """Held by whoever strikes it."""
        self._service = service
        self._home = folder / service.name
        self._record = Record("private", secrets.token_hex(16), free_ports(service.port_names))

    @property
    def name(self) -> str:
        """rabbitmq, postgres or redis."""
        return self._service.name

    @property
    def url(self) -> str:
        """Where it is, with account and password."""
        return self._service.urls(self._record)[self._service.url_variable]

    @property
    def pid(self) -> int:
        """The process that a kill hits."""
        return self._record.processes[self.name].pid

    async def start(self) -> float:
        """Start it; the moment at which it accepted a real connection. Raises ServiceError."""
        self._home.mkdir(mode=0o711, parents=True, exist_ok=True)
        self._spawn()
        return await self.until_it_answers()

    async def kill(self) -> None:
        """SIGKILL to the server itself; returns when it and its children are gone."""
        pid = self.pid
        children = children_of(pid)
        os.kill(pid, signal.SIGKILL)
        await end_of(pid)
        # A database refuses to start while a child of the former one is still there.
        await gone(children)

    def suspend(self) -> None:
        """SIGSTOP."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGCONT)

    async def until_it_answers(self) -> float:
        """The moment at which it accepts a real connection. Raises ServiceError."""
        give_up_at = time.monotonic() + PATIENCE
        while True:
            try:
                async with asyncio.timeout(_TRY):
                    await self._connect()
                return time.monotonic()
            except (OSError, TimeoutError, ServiceError) as error:
                if time.monotonic() > give_up_at:
                    raise ServiceError(f"{self.name} is not back: {error}") from error
            if not is_running(self._record.processes[self.name]):
                self._spawn()  # it may end while the last of its forerunner is cleared away
            await asyncio.sleep(_POLL)

    async def remove(self) -> None:
        """End all its processes; its files stay."""
        for process in self._record.processes.values():
            if is_running(process):
                children = children_of(process.pid)
                os.kill(process.pid, signal.SIGKILL)
                await end_of(process.pid)
                await gone(children)
        self._record.processes.clear()

    @abstractmethod
    async def _connect(self) -> None:
        """Raises OSError or ServiceError, or takes long, where it cannot be worked with."""

    def _spawn(self) -> None:
        with warnings.catch_warnings():
            # The process outlives the object that started it, on purpose.
            warnings.simplefilter("ignore", ResourceWarning)
            self._service.start(self._record, self._home)


class RabbitMQ(Server):
    """The broker."""

    def __init__(self, folder: Path) -> None:
        self._rabbitmq = RabbitMQService()
        super().__init__(self._rabbitmq, folder)

    async def control(self, *arguments: str) -> None:
        """Run rabbitmqctl on it. Raises ServiceError."""
        command, environment = self._rabbitmq.control_command(self._record, self._home, arguments)
        process = await asyncio.create_subprocess_exec(
            *command,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(PATIENCE):
                said, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            raise ServiceError(f"rabbitmqctl {arguments[0]}: {said.decode(errors='replace')}")

    async def _connect(self) -> None:
        await asyncio.to_thread(probes.amqp, self.url)  # cheaper while nobody listens
        connection = aiormq.Connection(self.url)
        try:
            await connection.connect()
            await connection.channel()
        except aiormq.exceptions.AMQPError as error:
            raise ServiceError(str(error)) from error
        finally:
            await connection.close()


class Postgres(Server):
    """PostgreSQL, with a database of the suite's own."""

    DATABASE: Final = "chaos"

    def __init__(self, folder: Path) -> None:
        super().__init__(PostgresService(), folder)

    @property
    def database_url(self) -> str:
        """Where the suite's database is."""
        return urlsplit(self.url)._replace(path=f"/{self.DATABASE}").geturl()

    @property
    def data(self) -> Path:
        """Its files: elsewhere, where its user cannot get to the suite's directory."""
        return Path(self._record.data)

    async def create_database(self) -> None:
        """Make the suite's database."""
        connection = await asyncpg.connect(self.url, timeout=_TRY)
        try:
            await connection.execute(f'CREATE DATABASE "{self.DATABASE}"')
        finally:
            await connection.close()

    async def remove(self) -> None:
        """As `Server.remove`, and what it has outside of its directory goes, too.

        Killed it leaves its shared memory to the machine, whoever killed it.
        """
        process = self._record.processes.get(self.name)
        if process is not None and is_running(process):
            self.resume()
            os.kill(process.pid, signal.SIGQUIT)
            with suppress(StillThereError):
                await end_of(process.pid)
        elif self._record.data:
            await asyncio.to_thread(clear_shared_memory, self._record.data)
        await super().remove()
        if self._record.data and not self.data.is_relative_to(self._home):
            await asyncio.to_thread(shutil.rmtree, self.data, ignore_errors=True)

    def backends(self) -> list[int]:
        """The processes that serve connections."""
        return [pid for pid in children_of(self.pid) if b" chaos " in command_of(pid)]

    async def _connect(self) -> None:
        try:
            connection = await asyncpg.connect(self.url, timeout=_TRY)
            try:
                await connection.fetchval("SELECT 1")
            finally:
                await connection.close()
        except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise ServiceError(str(error)) from error


class Redis(Server):
    """Redis, appending to its file at every write."""

    def __init__(self, folder: Path) -> None:
        super().__init__(RedisService(), folder)

    async def _connect(self) -> None:
        await asyncio.to_thread(probes.redis, self.url)


def clear_shared_memory(data: str) -> None:
    """Have the memory that a killed PostgreSQL left cleared by its successor, which ends at once.

    That is one in single-user mode: no client can meet it. On the data of a standby it refuses
    to work, but only after it has cleared the memory.
    """
    command = [str(binary("postgres")), "--single", "-D", data, "postgres"]
    run_as(unprivileged_user(), command)
