"""A part of the broker for one run's own use, by RabbitMQ's management API."""

import asyncio
import base64
import json
import os
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import aio_pika
from aio_pika.exceptions import AMQPError

from .environment import unique_name

API_URL = "HOLDFAST_TEST_RABBITMQ_API_URL"
_TIMEOUT = 10.0  # seconds, for one call
_READY_SECONDS = 60.0


class BrokerApi:
    """The management API of the broker at an AMQP URL."""

    def __init__(self, amqp_url: str) -> None:
        amqp = urlsplit(amqp_url)
        account = amqp.netloc.rpartition("@")[0] or "guest:guest"
        parts = urlsplit(os.environ.get(API_URL) or f"http://{account}@{amqp.hostname}:15672")
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        self._base = f"{parts.scheme}://{parts.hostname}:{parts.port or 15672}/api"
        self._headers = {
            "Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode(),
            "Content-Type": "application/json",
        }
        # A proxy of the environment must not come between.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    async def call(self, method: str, *path: str, body: object = None) -> Any:
        """The decoded answer. Raises urllib.error.HTTPError for what is no success."""
        return await asyncio.to_thread(self._call, method, path, body)

    def _call(self, method: str, path: tuple[str, ...], body: object) -> Any:
        request = urllib.request.Request(
            "/".join([self._base, *(quote(part, safe="") for part in path)]),
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers=self._headers,
        )
        with self._opener.open(request, timeout=_TIMEOUT) as response:
            text = response.read()
        return json.loads(text) if text else None


@asynccontextmanager
async def own_vhost(amqp_url: str) -> AsyncIterator[str]:
    """The AMQP URL of a new vhost, deleted at the end with all it holds."""
    parts = urlsplit(amqp_url)
    api, name = BrokerApi(amqp_url), unique_name()
    await api.call("PUT", "vhosts", name, body={})
    try:
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        user = unquote(parts.username or "guest")
        await api.call("PUT", "permissions", name, user, body=everything)
        yield parts._replace(path=f"/{name}").geturl()
    finally:
        await api.call("DELETE", "vhosts", name)


async def broker_version(amqp_url: str) -> str:
    """Of RabbitMQ."""
    overview = await BrokerApi(amqp_url).call("GET", "overview")
    return str(overview["rabbitmq_version"])


async def wait_for_consumer(amqp_url: str, queue: str) -> None:
    """Return when somebody consumes the queue.

    Raises:
        TimeoutError: nobody does within a minute.
    """
    async with asyncio.timeout(_READY_SECONDS), await aio_pika.connect(amqp_url) as connection:
        while True:
            channel = await connection.channel()
            try:
                declared = await channel.declare_queue(queue, passive=True)
                if declared.declaration_result.consumer_count:
                    await channel.close()
                    return
                await channel.close()
            except AMQPError:
                pass  # there is no such queue yet, and the channel is gone
            await asyncio.sleep(0.1)
