"""A client and a scripted agent on one in-process bus."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from holdfast_protocol import AgentClient
from holdfast_protocol.bus.contract import Broadcast, BroadcastExchange, Publication, ReplyDelivery
from holdfast_protocol.bus.memory import MemoryBus, MemoryReplyAddress
from holdfast_protocol.bus.memory_broker import MemoryBroker
from holdfast_protocol.bus.memory_listeners import MemoryListener
from tests.unit.client.responder import Responder, Script, responding


class ReconnectingAddress(MemoryReplyAddress):
    """A reply address whose connection a test may call lost and made again."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.count = 1

    @property
    def generation(self) -> int:
        return self.count


class FaultyBus(MemoryBus):
    """The client's bus. Each publish first raises the next of `faults`, where one is left.

    None among the faults lets a publish through. Each takes `patience` seconds.
    While it is `deaf`, its listeners miss what is announced.
    """

    def __init__(self, broker: MemoryBroker) -> None:
        super().__init__(broker=broker)
        self.faults: list[Exception | None] = []
        self.published: list[Publication] = []
        self.address: ReconnectingAddress | None = None
        self.patience = 0.0
        self.deaf = False
        self._ready: list[Callable[[], None]] = []

    async def publish(self, publication: Publication) -> None:
        self.published.append(publication)
        fault = self.faults.pop(0) if self.faults else None
        if self.patience:
            await asyncio.sleep(self.patience)
        if fault is not None:
            raise fault
        await super().publish(publication)

    async def open_reply_address(
        self, sender: str, on_reply: Callable[[ReplyDelivery], None]
    ) -> ReconnectingAddress:
        opened = await super().open_reply_address(sender, on_reply)
        self.address = ReconnectingAddress(opened.address)
        return self.address

    async def listen(
        self,
        exchange: BroadcastExchange,
        patterns: Sequence[str],
        on_message: Callable[[Broadcast], None],
        on_ready: Callable[[], None] | None = None,
    ) -> MemoryListener:
        def hear(broadcast: Broadcast) -> None:
            if not self.deaf:
                on_message(broadcast)

        if on_ready is not None:
            self._ready.append(on_ready)
        return await super().listen(exchange, patterns, hear, on_ready)

    def reconnect(self) -> None:
        """The connection was lost, and is there again."""
        assert self.address is not None
        self.address.count += 1
        self.deaf = False
        for on_ready in self._ready:
            on_ready()


@dataclass
class Scene:
    """What a test acts on."""

    client: AgentClient
    agent: Responder
    bus: FaultyBus
    broker: MemoryBroker = field(repr=False)


@asynccontextmanager
async def scene(
    *scripts: Script,
    sender: str | None = "tester",
    timeout: float = 30.0,
    retry: bool = True,
    max_batch: int = 64,
    max_pending: int = 10_000,
    max_pending_bytes: int = 64 * 1024 * 1024,
    max_message_bytes: int = 16 * 1024 * 1024,
) -> AsyncIterator[Scene]:
    """A client on a bus of its own, and an agent `storage` that answers by the scripts."""
    broker = MemoryBroker()
    async with MemoryBus(broker=broker) as agent_bus, FaultyBus(broker) as bus:
        client = AgentClient(
            bus=bus,
            sender=sender,
            timeout=timeout,
            retry=retry,
            max_batch=max_batch,
            max_pending=max_pending,
            max_pending_bytes=max_pending_bytes,
            max_message_bytes=max_message_bytes,
        )
        async with responding(agent_bus, *scripts) as agent, client:
            yield Scene(client, agent, bus, broker)
