"""A PostgreSQL and its hot standby on loopback: killed, promoted, joined again."""

import asyncio
import os
import secrets
import shutil
import signal
import tempfile
import time
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote

import asyncpg

from localservices import packages
from localservices.model import ACCOUNT, LOOPBACK, Record, ServiceError
from localservices.postgres import Postgres, binary, run_as, unprivileged_user
from localservices.processes import free_ports, is_running
from tests.chaos.processes import children_of, end_of, gone
from tests.chaos.servers import clear_shared_memory

DATABASE: Final = "chaos"
_SERVICE: Final = Postgres()
_PATIENCE: Final = 60.0  # seconds: a bound for what must happen
_CALL: Final = 10
_POLL: Final = 0.02
_FAILURES: Final = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError)
_IN_STEP: Final = "SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'"


class Node:
    """One server; its port stays, whatever becomes of its data."""

    def __init__(self, name: str, home: Path, password: str) -> None:
        self.name = name
        self._home = home
        self._record = Record("private", password, free_ports(_SERVICE.port_names))

    @property
    def address(self) -> str:
        """Host and port."""
        return f"{LOOPBACK}:{self._record.ports['postgres']}"

    @property
    def data(self) -> Path:
        """Its files."""
        return Path(self._record.data)

    @property
    def url(self) -> str:
        """Of this server alone."""
        return _url(self._record.password, self.address)

    async def start(self) -> None:
        """Start it with the data that it has, or with new ones; until it answers."""
        self._spawn()
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                await self.ask("SELECT 1", database="postgres")
            except _FAILURES as error:
                if time.monotonic() > deadline:
                    raise ServiceError(f"{self.name} does not answer: {error}") from error
            else:
                return
            if not is_running(self._record.processes["postgres"]):
                self._spawn()  # it may end while the last of its forerunner is cleared away
            await asyncio.sleep(_POLL)

    async def kill(self) -> None:
        """SIGKILL; until it and all its processes are gone."""
        process = self._record.processes.pop("postgres", None)
        if process is None or not is_running(process):
            return
        children = children_of(process.pid)
        os.kill(process.pid, signal.SIGKILL)
        await end_of(process.pid)
        await gone(children)

    async def follow(self, other: "Node") -> None:
        """Throw away its data, and start as the standby of another one."""
        await self.remove()
        user = unprivileged_user()
        self._home.mkdir(mode=0o711, exist_ok=True)
        self._record.data = tempfile.mkdtemp(prefix="holdfast-postgres-")
        if user is not None:
            os.chown(self._record.data, user.pw_uid, user.pw_gid)
        source = (
            f"{_url(self._record.password, other.address, 'postgres')}?application_name={self.name}"
        )
        program = binary("pg_basebackup")
        options = [
            "--pgdata",
            self._record.data,
            "--write-recovery-conf",
            "--checkpoint=fast",
            "--no-sync",
        ]
        command = [str(program), "--dbname", source, *options, "--wal-method=stream"]
        done = await asyncio.to_thread(run_as, user, command)
        if done.returncode != 0:
            raise ServiceError(f"pg_basebackup failed:\n{done.stdout[-2000:]}")
        await self.start()

    async def remove(self) -> None:
        """End it, and remove its data and its shared memory."""
        await self.kill()
        if self._record.data:
            await asyncio.to_thread(clear_shared_memory, self._record.data)
            await asyncio.to_thread(shutil.rmtree, self._record.data, ignore_errors=True)
            self._record.data = ""

    async def ask(self, question: str, *, database: str = DATABASE) -> list[asyncpg.Record]:
        """What it answers to SQL."""
        url = _url(self._record.password, self.address, database)
        connection = await asyncpg.connect(url, timeout=_CALL, command_timeout=_PATIENCE)
        try:
            answer: list[asyncpg.Record] = await connection.fetch(question)
            return answer
        finally:
            await connection.close()

    def last_lines(self) -> str:
        """What it said last."""
        return "\n".join((self._home / "log").read_text(errors="replace").splitlines()[-20:])

    def _spawn(self) -> None:
        with warnings.catch_warnings():
            # The process outlives the object that started it, on purpose.
            warnings.simplefilter("ignore", ResourceWarning)
            _SERVICE.start(self._record, self._home)


class Pair:
    """A primary and its standby.

    Args:
        synchronous: whether the primary acknowledges only what the standby has on its disk.
    """

    def __init__(self, folder: Path, *, synchronous: bool = True) -> None:
        password = secrets.token_hex(16)
        self._nodes = [Node(name, folder / name, password) for name in ("first", "second")]
        self._password = password
        self._synchronous = synchronous

    @property
    def primary(self) -> Node:
        """The server that was made the primary last."""
        return self._nodes[0]

    @property
    def standby(self) -> Node:
        """The other one."""
        return self._nodes[1]

    @property
    def url(self) -> str:
        """Of both; it stays the same, whichever is the primary."""
        hosts = sorted(node.address for node in self._nodes)
        return _url(self._password, ",".join(hosts))

    async def start(self) -> None:
        """Both, with an empty database."""
        if not _SERVICE.installed():
            await asyncio.to_thread(packages.install, _SERVICE.packages, lambda _line: None)
        await self.primary.start()
        await self.primary.ask(f'CREATE DATABASE "{DATABASE}"', database="postgres")
        await self.rejoin()

    async def rejoin(self) -> None:
        """The other one becomes the standby, anew, and the primary waits for it from now on."""
        await self.standby.follow(self.primary)
        if self._synchronous:
            await self.wait_for_standbys("*")
            await self.until(_IN_STEP)

    async def restore(self) -> None:
        """Both, the standby with all that the primary has."""
        try:
            if await self.primary.ask(_IN_STEP):
                return
        except _FAILURES:
            await self.primary.start()
        await self.rejoin()

    async def promote(self, *, alone: bool = True) -> float:
        """Make the standby the primary; the moment at which it takes writes.

        Args:
            alone: it acknowledges without a standby, until there is one again.
        """
        self._nodes.reverse()
        if alone and self._synchronous:
            await self.wait_for_standbys("")
        await self.primary.ask("SELECT pg_promote()")
        await self.until("SELECT 1 WHERE NOT pg_is_in_recovery()")
        return time.monotonic()

    async def wait_for_standbys(self, names: str) -> None:
        """Which standbys the primary waits for; an empty text: for none, as of now."""
        node = self.primary
        await node.ask(f"ALTER SYSTEM SET synchronous_standby_names = '{names}'")
        await node.ask("SELECT pg_reload_conf()")
        await self.until(f"SELECT 1 WHERE current_setting('synchronous_standby_names') = '{names}'")

    async def until(self, question: str) -> None:
        """Until the primary answers a row to it. Raises TimeoutError."""
        async with asyncio.timeout(_PATIENCE):
            # Nothing tells when a server's state changes: it is asked again and again.
            while not await self.primary.ask(question):  # noqa: ASYNC110
                await asyncio.sleep(_POLL)

    async def remove(self) -> None:
        """End both, and remove their data."""
        for node in self._nodes:
            await node.remove()


@asynccontextmanager
async def pair_of_servers(folder: Path, *, synchronous: bool = True) -> AsyncIterator[Pair]:
    """A pair that is up, removed at the end."""
    pair = Pair(folder, synchronous=synchronous)
    try:
        await pair.start()
        yield pair
    finally:
        await pair.remove()


def _url(password: str, hosts: str, database: str = DATABASE) -> str:
    return f"postgresql://{ACCOUNT}:{quote(password)}@{hosts}/{database}"
