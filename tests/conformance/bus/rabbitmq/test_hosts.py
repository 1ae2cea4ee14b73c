"""Several hosts in one URL: another one is tried, and what was on a lost node is made again."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

import pytest

from holdfast_protocol.bus.contract import Publication
from holdfast_protocol.bus.rabbitmq.bus import RabbitBus
from holdfast_protocol.errors import UnavailableError
from tests.conformance.bus.harness import RabbitHarness, Replies, soon, take
from tests.conformance.bus.rabbitmq.tools import Proxy, proxy_to, until

pytestmark = pytest.mark.amqp


def joined(*urls: str) -> str:
    """One URL of the hosts of several, all else as in the first."""
    parts = urlsplit(urls[0])
    account = parts.netloc.rpartition("@")[0]
    hosts = ",".join(urlsplit(url).netloc.rpartition("@")[2] for url in urls)
    return parts._replace(netloc=f"{account}@{hosts}").geturl()


@pytest.fixture
def silent() -> Iterator[str]:
    """A URL where connections are accepted, and nobody ever says anything."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"amqp://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
async def proxies(amqp_url: str) -> AsyncIterator[list[tuple[Proxy, str]]]:
    """Three ways to the same broker, as if it were three nodes."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(proxy_to(amqp_url)) for _ in range(3)]


def bus_at(url: str, timeout: float = 10.0) -> RabbitBus:
    return RabbitBus(url, namespace=RabbitHarness(url).namespace, operation_timeout=timeout)


async def test_hosts_that_are_away_or_silent_are_passed_over(amqp_url: str, silent: str) -> None:
    url = joined(amqp_url, "amqp://127.0.0.1:1", silent)
    for _ in range(3):  # the first host is a random one
        async with bus_at(url, timeout=6.0) as bus:
            consumer = await bus.consume("storage")
            await bus.publish(Publication("storage.x", b"1"))
            await take(consumer, 1)


async def test_hosts_that_are_all_away_are_unavailable_in_time(silent: str) -> None:
    began = time.monotonic()
    url = joined("amqp://u:secret@127.0.0.1:1", "amqp://127.0.0.1:2", silent)
    with pytest.raises(UnavailableError, match="cannot be reached") as raised:
        await bus_at(url, timeout=1.0).__aenter__()
    assert "secret" not in repr(raised.value) + repr(raised.value.__cause__)
    assert time.monotonic() - began < 10


async def test_a_password_that_one_node_refuses_is_told_though_another_one_is_away(
    amqp_url: str,
) -> None:
    parts = urlsplit(amqp_url)
    wrong = parts._replace(netloc=f"nobody:secret@{parts.hostname}:{parts.port}").geturl()
    with pytest.raises(UnavailableError, match="refused") as raised:
        await soon(bus_at(joined(wrong, "amqp://127.0.0.1:1")).__aenter__())
    assert "secret" not in str(raised.value)


async def test_after_a_loss_all_connections_go_on_to_another_host(
    proxies: list[tuple[Proxy, str]],
) -> None:
    async with bus_at(joined(*(url for _, url in proxies))) as bus:
        consumer = await bus.consume("storage")
        replies = Replies()
        address = await bus.open_reply_address("tester", replies)
        ways = [proxy for proxy, _ in proxies]
        lost = max(ways, key=lambda proxy: proxy.connections)
        assert [proxy.connections for proxy in ways if proxy is not lost] == [0, 0]
        before, generation = lost.connections, address.generation
        lost.cut()
        await until(lambda: _is_after(address.generation, generation))
        await bus.publish(Publication("storage.x", b"1"))
        await take(consumer, 1)
        assert await bus.reply(address.address, b"answer", "c")
        assert (await replies.next()).body == b"answer"
        assert lost.connections == before


async def test_buses_spread_over_the_hosts(proxies: list[tuple[Proxy, str]]) -> None:
    url = joined(*(url for _, url in proxies))
    async with AsyncExitStack() as stack:
        async with asyncio.timeout(30):
            while not all(proxy.connections for proxy, _ in proxies):
                await stack.enter_async_context(bus_at(url))


async def _is_after(value: int, before: int) -> bool:
    return value > before
