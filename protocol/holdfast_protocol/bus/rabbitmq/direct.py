"""Replies to the broker's direct reply-to, kept apart because a forged address is dangerous.

RabbitMQ decodes such an address to an Erlang process on one of its nodes. Unless it is one,
the broker fails with INTERNAL_ERROR (541) and closes the whole connection that published
there (seen with 3.10; its decoder has no branch for an unknown node). A sender chooses its
reply address freely, so these replies go over a connection of their own.
"""

import asyncio
import re
from contextlib import AsyncExitStack

from pamqp.commands import Basic

from holdfast_protocol.bus.rabbitmq.connection import Link
from holdfast_protocol.bus.rabbitmq.hosts import Hosts
from holdfast_protocol.bus.rabbitmq.publisher import Publisher, RejectedError
from holdfast_protocol.errors import UnavailableError

_PREFIX = "amq.rabbitmq.reply-to"
_ADDRESS = re.compile(re.escape(_PREFIX) + r"\.[A-Za-z0-9+/]+={0,2}\.[A-Za-z0-9+/]+={0,2}")
# Short: an agent waits for its replies, and a forged address must not hold it up.
_TIMEOUT = 2.0
_ATTEMPTS = 2


def is_direct_address(address: str) -> bool:
    """Whether it means the direct reply-to, well-formed or not."""
    return address.startswith(_PREFIX)


class DirectReplies:
    """Publishes to direct addresses; connects when the first one is wanted."""

    def __init__(self, hosts: Hosts, namespace: str, timeout: float) -> None:
        self._hosts = hosts
        self._namespace = namespace
        self._timeout = min(timeout, _TIMEOUT)
        self._starting = asyncio.Lock()
        self._stack = AsyncExitStack()
        self._publisher: Publisher | None = None

    async def send(self, address: str, body: bytes, properties: Basic.Properties) -> bool:
        """False when the address is none, or the broker cannot deliver there.

        True tells little: the broker does not say whether anybody listens.

        Raises UnavailableError when there is no connection to be had.
        """
        if _ADDRESS.fullmatch(address) is None:
            return False
        publisher = self._publisher or await self._start()
        try:
            # Mandatory, every one would be returned: no queue has that name.
            await publisher.publish("", address, body, properties, mandatory=False)
        except (RejectedError, UnavailableError):
            return False
        return True

    async def close(self) -> None:
        self._publisher = None
        await self._stack.aclose()

    async def _start(self) -> Publisher:
        async with self._starting, AsyncExitStack() as stack:
            if self._publisher is None:
                link = Link(self._hosts, "direct reply")
                publisher = Publisher(link, self._namespace, self._timeout, attempts=_ATTEMPTS)
                for supervisor in (link.supervisor, publisher.supervisor):
                    await supervisor.start(self._timeout)
                    stack.push_async_callback(supervisor.close)
                self._stack = stack.pop_all()
                self._publisher = publisher
            return self._publisher
