"""The real servers of the tests: where they are, and a part of each for a run's own use.

`scripts/services up` brings them and writes `.services/env`; variables of the environment
take precedence over that file.
"""

import base64
import functools
import json
import os
import shlex
import socket
import urllib.request
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import asyncpg
from redis.asyncio import Redis

from tests.missing import missing

AMQP_URL = "HOLDFAST_TEST_AMQP_URL"
RABBITMQ_API_URL = "HOLDFAST_TEST_RABBITMQ_API_URL"
POSTGRES_URL = "HOLDFAST_TEST_POSTGRES_URL"
REDIS_URL = "HOLDFAST_TEST_REDIS_URL"

_ENV_FILE = Path(__file__).resolve().parent.parent / ".services" / "env"
_DEFAULT_PORTS = {"amqp": 5672, "amqps": 5671, "http": 15672, "postgresql": 5432, "redis": 6379}
_TIMEOUT = 10  # seconds, for one call to a server


class ServiceMissingError(Exception):
    """A server is not configured or does not answer; the message says what to do."""


@functools.cache
def service_url(variable: str) -> str:
    """The URL in `variable`, whose server accepts connections. Raises ServiceMissingError."""
    url = os.environ.get(variable) or _written_urls().get(variable)
    if not url:
        raise ServiceMissingError(f"{variable} is not set; run: scripts/services up")
    parts = urlsplit(url)
    address = (parts.hostname or "localhost", parts.port or _DEFAULT_PORTS.get(parts.scheme, 0))
    try:
        socket.create_connection(address, timeout=_TIMEOUT).close()
    except OSError as error:
        raise ServiceMissingError(
            f"nothing answers at {variable} ({address[0]}:{address[1]}): {error}"
        ) from error
    return url


def require_service(variable: str) -> str:
    """The URL in `variable`; without its server the test skips or fails, as `missing` says."""
    try:
        return service_url(variable)
    except ServiceMissingError as error:
        missing(str(error))


def unique_name() -> str:
    """A name no other run uses, valid as a vhost, a database and a key prefix."""
    return f"holdfast_test_{uuid.uuid4().hex}"


class BrokerApi:
    """RabbitMQ's management API, for what AMQP itself can't do or tell."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        account = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
        self.user = unquote(parts.username or "")
        self._base = f"{parts.scheme}://{parts.hostname}:{parts.port or 15672}/api"
        self._authorization = "Basic " + base64.b64encode(account.encode()).decode()
        # A proxy of the environment must not come between a test and its broker.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def call(self, method: str, *path: str, body: object = None) -> Any:
        """The decoded answer; each part of `path` is quoted, so a vhost may hold slashes.

        Raises urllib.error.HTTPError for every status that is no success.
        """
        request = urllib.request.Request(
            "/".join([self._base, *(quote(part, safe="") for part in path)]),
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": self._authorization, "Content-Type": "application/json"},
        )
        with self._opener.open(request, timeout=_TIMEOUT) as response:
            text = response.read()
        return json.loads(text) if text else None


def broker_api() -> BrokerApi:
    """The API of the broker at AMQP_URL. Raises ServiceMissingError."""
    if not (os.environ.get(RABBITMQ_API_URL) or _written_urls().get(RABBITMQ_API_URL)):
        parts = urlsplit(service_url(AMQP_URL))
        account = parts.netloc.rpartition("@")[0] or "guest:guest"
        return BrokerApi(f"http://{account}@{parts.hostname}:15672")
    return BrokerApi(service_url(RABBITMQ_API_URL))


@contextmanager
def temporary_vhost() -> Iterator[str]:
    """The AMQP URL of a new vhost, deleted at the end with all it holds."""
    parts = urlsplit(service_url(AMQP_URL))
    api, name = broker_api(), unique_name()
    api.call("PUT", "vhosts", name, body={})
    try:
        user = unquote(parts.username or "guest")
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        api.call("PUT", "permissions", name, user, body=everything)
        yield parts._replace(path=f"/{name}").geturl()
    finally:
        api.call("DELETE", "vhosts", name)


@asynccontextmanager
async def temporary_database() -> AsyncIterator[str]:
    """The URL (postgresql://…) of a new, empty database, dropped at the end."""
    url, name = service_url(POSTGRES_URL), unique_name()
    await _administer(url, f'CREATE DATABASE "{name}"')
    try:
        yield urlsplit(url)._replace(path=f"/{name}").geturl()
    finally:
        # FORCE: a test that failed may have left a connection behind.
        await _administer(url, f'DROP DATABASE "{name}" WITH (FORCE)')


@asynccontextmanager
async def temporary_namespace() -> AsyncIterator[str]:
    """A name to put into every Redis key, hash-tagged or not; such keys go at the end."""
    name = unique_name()
    async with Redis.from_url(service_url(REDIS_URL)) as redis:
        yield name
        async for key in redis.scan_iter(match=f"*{name}*", count=1000):
            await redis.unlink(key)


async def _administer(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url, timeout=_TIMEOUT)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def _written_urls() -> dict[str, str]:
    if not _ENV_FILE.exists():
        return {}
    pairs = (word.partition("=") for word in shlex.split(_ENV_FILE.read_text()))
    return {name: url for name, _, url in pairs}
