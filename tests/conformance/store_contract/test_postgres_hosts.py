"""Several hosts in one URL: the one that takes writes is found, whatever the others do."""

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from time import monotonic
from urllib.parse import urlsplit

import asyncpg
import pytest

from holdfast_backends.errors import StorageError, UnavailableError, UnsafeStoreError
from holdfast_backends.sql.engines import postgres_engine
from holdfast_backends.sql.migrate import migrate
from holdfast_backends.sql.postgres_address import parse_postgres
from holdfast_backends.sql.postgres_connecting import Connector
from holdfast_backends.sql.postgres_session import PostgresPool, RawConnection
from holdfast_backends.sql.postgres_store import PostgresStore

pytestmark = pytest.mark.postgres

PER_HOST = 0.5  # seconds


@asynccontextmanager
async def silent() -> AsyncIterator[str]:
    """The address of a server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def nobody() -> str:
    """An address that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"127.0.0.1:{listener.getsockname()[1]}"


def among(url: str, before: Sequence[str], after: Sequence[str] = ()) -> str:
    """The URL with more hosts around its own."""
    parts = urlsplit(url)
    account, _, host = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{account}@{','.join([*before, host, *after])}").geturl()


async def test_hosts_that_refuse_or_stay_silent_are_passed_over(postgres_url: str) -> None:
    async with silent() as mute:
        address = parse_postgres(among(postgres_url, [nobody(), mute], [nobody()]))
        connector = Connector(address, timeout=PER_HOST, settings={})
        connection = await connector.connect()
        assert await connection.fetchval("SELECT NOT pg_is_in_recovery()")
        await connection.close()
        # The next ones go there first: the silent host costs its time only once.
        began = monotonic()
        await (await connector.connect()).close()
        assert monotonic() - began < PER_HOST


async def test_a_store_opens_behind_a_silent_host(migrated_postgres_url: str) -> None:
    async with silent() as mute:
        url = among(migrated_postgres_url, [mute])
        async with PostgresStore(url, connect_timeout=PER_HOST) as store:
            assert store.capabilities.crash_safe


async def test_a_migration_finds_its_server_too(fresh_postgres_url: str) -> None:
    assert (await migrate(among(fresh_postgres_url, [nobody()]))).changed


async def test_no_host_at_all_is_unavailable(migrated_postgres_url: str) -> None:
    parts = urlsplit(migrated_postgres_url)
    account = parts.netloc.rpartition("@")[0]
    url = parts._replace(netloc=f"{account}@{nobody()},{nobody()}").geturl()
    with pytest.raises(UnavailableError, match="cannot be reached"):
        async with PostgresStore(url):
            pass
    with pytest.raises(UnavailableError, match="cannot be reached"):
        await migrate(url)


async def test_a_wrong_password_is_told_before_what_else_is_wrong(postgres_url: str) -> None:
    parts = urlsplit(among(postgres_url, [nobody()], [nobody()]))
    hosts = parts.netloc.rpartition("@")[2]
    url = parts._replace(netloc=f"{parts.username}:wrong@{hosts}").geturl()
    with pytest.raises(StorageError, match="check user, password"):
        async with PostgresStore(url):
            pass


async def test_a_server_that_takes_no_writes_is_not_read_from_either(
    fresh_postgres_url: str,
) -> None:
    await migrate(fresh_postgres_url)
    database = fresh_postgres_url.rpartition("/")[2]
    admin = await asyncpg.connect(fresh_postgres_url)
    await admin.execute(f'ALTER DATABASE "{database}" SET default_transaction_read_only = on')
    await admin.close()
    with pytest.raises(UnavailableError, match="only be read"):
        async with PostgresStore(fresh_postgres_url):
            pass


async def test_a_connection_that_takes_no_writes_any_more_is_dropped(
    migrated_postgres_url: str,
) -> None:
    async def anything(_connection: RawConnection) -> None:
        pass

    engine = postgres_engine(
        parse_postgres(migrated_postgres_url),
        pool_size=2,
        connect_timeout=5,
        statement_timeout=5,
        lock_timeout=5,
        greet=anything,
    )
    pool = PostgresPool(engine)
    try:
        async with pool.session(None) as session:
            before = (await session.fetch("SELECT pg_backend_pid()", ()))[0][0]
        with pytest.raises(UnavailableError, match="only be read"):
            async with pool.session("BEGIN READ ONLY") as session:
                await session.change("CREATE TABLE never (x int)", ())
        async with pool.session(None) as session:
            assert (await session.fetch("SELECT pg_backend_pid()", ()))[0][0] != before
    finally:
        await engine.dispose()


async def test_a_server_that_took_over_and_may_lose_commits_is_not_worked_on(
    fresh_postgres_url: str,
) -> None:
    await migrate(fresh_postgres_url)
    database = fresh_postgres_url.rpartition("/")[2]
    async with PostgresStore(fresh_postgres_url) as store:
        admin = await asyncpg.connect(fresh_postgres_url)
        await admin.execute(f'ALTER DATABASE "{database}" SET synchronous_commit = off')
        await admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'holdfast'"
        )
        await admin.close()
        with pytest.raises(UnavailableError):  # the connection that was ended
            await store.heads()
        with pytest.raises(UnavailableError, match="synchronous_commit"):
            await store.heads()
        assert not store.capabilities.crash_safe


async def test_a_server_that_may_lose_commits_does_not_hide_one_that_keeps_them(
    postgres_url: str,
) -> None:
    """A former primary that came back, with other settings."""
    refused: list[RawConnection] = []

    async def greet(connection: RawConnection) -> None:
        if not refused:
            refused.append(connection)
            raise UnsafeStoreError("it may")

    port = urlsplit(postgres_url).port
    address = parse_postgres(among(postgres_url, [], [f"localhost:{port}"]))
    connection = await Connector(address, timeout=PER_HOST, settings={}, greet=greet).connect()
    assert refused[0].is_closed()
    assert await connection.fetchval("SELECT 1") == 1
    await connection.close()


async def test_a_server_that_falls_silent_after_connecting_is_passed_over(
    postgres_url: str,
) -> None:
    greeted: list[RawConnection] = []

    async def greet(connection: RawConnection) -> None:
        greeted.append(connection)
        if len(greeted) == 1:
            await asyncio.Event().wait()

    port = urlsplit(postgres_url).port
    address = parse_postgres(among(postgres_url, [], [f"localhost:{port}"]))
    connector = Connector(address, timeout=PER_HOST, settings={}, greet=greet)
    async with asyncio.timeout(10):
        connection = await connector.connect()
    assert greeted[0].is_closed()
    assert not connection.is_closed()
    await connection.close()


async def test_that_a_server_may_lose_commits_is_told_before_what_else_is_wrong(
    postgres_url: str,
) -> None:
    async def greet(_connection: RawConnection) -> None:
        raise UnsafeStoreError("it may")

    address = parse_postgres(among(postgres_url, [nobody()], [nobody()]))
    with pytest.raises(UnsafeStoreError):
        await Connector(address, timeout=PER_HOST, settings={}, greet=greet).connect()


async def test_connections_notice_a_machine_that_is_gone(postgres_url: str) -> None:
    connector = Connector(parse_postgres(postgres_url), timeout=5, settings={})
    connection = await connector.connect()
    wire = connection._transport.get_extra_info("socket")
    assert wire.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        assert wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 5_000
    await connection.close()


async def test_addresses_of_the_sixth_version_are_connected_to(postgres_url: str) -> None:
    del postgres_url
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    met = asyncio.Event()

    async def meet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        met.set()
        writer.close()

    try:
        server = await asyncio.start_server(meet, "::1", 0)
    except OSError:
        pytest.skip("no IPv6 loopback here")
    async with server:
        port = server.sockets[0].getsockname()[1]
        address = parse_postgres(f"postgresql://me@[::1]:{port}/base")
        with pytest.raises((OSError, asyncpg.InterfaceError, asyncpg.PostgresError)):
            await Connector(address, timeout=PER_HOST, settings={}).connect()
    assert met.is_set()
