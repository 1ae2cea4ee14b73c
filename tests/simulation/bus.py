"""A process's access to the simulated broker: the contract of a bus, kept under faults."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from types import TracebackType
from typing import Final, Self

from holdfast_protocol.bus.checks import (
    check_announcements,
    check_chunk,
    check_publication,
    check_since,
    reply_queue_name,
)
from holdfast_protocol.bus.contract import DEFAULT_MAX_BYTES
from holdfast_protocol.bus.memory_consumer import MemoryConsumer
from holdfast_protocol.bus.memory_letters import MemoryWalk
from holdfast_protocol.bus.messages import (
    Announcement,
    Broadcast,
    BroadcastExchange,
    DeadLetter,
    Delivery,
    Publication,
    ReplyDelivery,
)
from holdfast_protocol.errors import (
    BusClosedError,
    UnavailableError,
)
from tests.simulation.broker import ReplyQueue, SimulatedBroker
from tests.simulation.consumer import SimulatedConsumer
from tests.simulation.faults import Injected
from tests.simulation.letters import Letters
from tests.simulation.listening import SimulatedListener
from tests.simulation.processes import Process
from tests.simulation.publishing import Publisher
from tests.simulation.wire import SLOW_SECONDS, Wire

NAMESPACE: Final = "holdfast"
PATIENCE: Final = 10.0
"""Virtual seconds that a bus waits for its broker."""


class SimulatedReplyAddress:
    """As `ReplyAddress`."""

    def __init__(self, address: str) -> None:
        self._address = address
        self.connections = 1

    @property
    def address(self) -> str:
        return self._address

    @property
    def generation(self) -> int:
        return self.connections


class SimulatedBus:
    """One process's bus. Its connection to consume and that to hear replies and broadcasts are
    lost each by itself, as those of the bus on RabbitMQ are."""

    def __init__(self, broker: SimulatedBroker, process: Process) -> None:
        self._broker = broker
        self._world = broker.world
        self._process = process
        self._wire = Wire(
            broker.world,
            process,
            lambda why: UnavailableError(f"The broker did not confirm: {why}"),
            lambda: broker.away_until,
            PATIENCE,
        )
        self._is_open = False
        self._letters = Letters(broker, self._wire, NAMESPACE)
        self._publisher = Publisher(broker, process, self._wire, NAMESPACE, self._cut_hearing)
        self._consumers: list[SimulatedConsumer] = []
        self._listeners: list[SimulatedListener] = []
        self._addresses: list[tuple[SimulatedReplyAddress, ReplyQueue]] = []
        self._hears = True
        process.on_death.append(self._drop)
        broker.cutters.append(self.cut_all)
        broker.world.on_silence.append(self._silent)

    @property
    def namespace(self) -> str:
        return NAMESPACE

    @property
    def is_local(self) -> bool:
        return False

    @property
    def blocked(self) -> bool:
        return False

    # -- messages --------------------------------------------------------------------------------

    async def publish(self, publication: Publication) -> None:
        self._require_open()
        check_publication(publication)
        await self._publisher.publish(publication)

    async def consume(
        self, agent: str, *, prefetch: int = 1000, max_bytes: int = DEFAULT_MAX_BYTES
    ) -> SimulatedConsumer:
        self._require_open()
        queue = self._broker.core.declare_queue(NAMESPACE, agent)

        def connect() -> MemoryConsumer:
            return MemoryConsumer(queue, prefetch, max_bytes)

        def effect() -> SimulatedConsumer:
            consumer = SimulatedConsumer(self._broker, self._process, connect)
            self._consumers.append(consumer)
            if not self._is_open:
                consumer.close()  # who asked for it is gone
            return consumer

        return await self._wire.call("open", effect)

    # -- replies ---------------------------------------------------------------------------------

    async def open_reply_address(
        self, sender: str, on_reply: Callable[[ReplyDelivery], None]
    ) -> SimulatedReplyAddress:
        self._require_open()
        name = reply_queue_name(NAMESPACE, sender)
        context, loop = self._process.context, self._world.loop

        def hand_over(reply: ReplyDelivery) -> None:
            loop.call_soon(on_reply, reply, context=context)

        def effect() -> SimulatedReplyAddress:
            queue = ReplyQueue(self._world, hand_over)
            address = SimulatedReplyAddress(name)
            self._broker.replies[name] = queue
            self._addresses.append((address, queue))
            return address

        return await self._wire.call("open", effect)

    async def reply(self, address: str, body: bytes, correlation_id: str | None) -> bool:
        self._require_open()
        reply = ReplyDelivery(body, correlation_id)

        def put(*, is_faulted: bool) -> bool:
            queue = self._broker.replies.get(address)
            if queue is None:
                return False
            if self._world.is_traced:
                self._world.tell(f"{self._process.name} answers {body.decode()}")
            queue.put(reply, is_faulted=is_faulted)
            return True

        def twisted(fault: Injected) -> Callable[[], bool]:
            def effect() -> bool:
                if fault.kind == "dropped" and ".plain." not in address:
                    self._world.delivered("reply", is_faulted=True)
                    return False
                if fault.kind == "twice":
                    put(is_faulted=True)
                return put(is_faulted=True)

            if fault.kind in ("lost", "killed-before"):
                self._world.delivered("reply", is_faulted=True)
            if fault.kind == "cut":
                self._cut_consumers(SLOW_SECONDS * fault.amount)
            return effect

        return await self._wire.call("reply", lambda: put(is_faulted=False), twist=twisted)

    # -- dead letters ----------------------------------------------------------------------------

    async def dead_letter(self, delivery: Delivery, *, reason: str, error: str, agent: str) -> None:
        self._require_open()
        await self._letters.bury(delivery, reason=reason, error=error, agent=agent)

    @asynccontextmanager
    async def dead_letters(self) -> AsyncIterator[MemoryWalk]:
        self._require_open()
        async with self._letters.walk() as walk:
            yield walk

    async def resend(self, letter: DeadLetter) -> None:
        self._require_open()
        await self._letters.resend(letter)

    # -- broadcasts ------------------------------------------------------------------------------

    async def announce(self, announcements: Sequence[Announcement]) -> list[bool]:
        self._require_open()
        check_announcements(announcements)

        def tell(count: int) -> list[bool]:
            return [
                self._broker.core.listeners(NAMESPACE, one.exchange).announce(one)
                for one in announcements[:count]
            ]

        def partly(fault: Injected) -> Callable[[], list[bool]] | None:
            if fault.kind == "cut":
                self._cut_hearing(SLOW_SECONDS * fault.amount)
            if fault.kind != "partly":
                return None

            def effect() -> list[bool]:
                tell(int(len(announcements) * fault.amount))
                raise UnavailableError("The connection was lost while events were announced")

            return effect

        return await self._wire.call("announce", lambda: tell(len(announcements)), twist=partly)

    async def listen(
        self,
        exchange: BroadcastExchange,
        patterns: Sequence[str],
        on_message: Callable[[Broadcast], None],
        on_ready: Callable[[], None] | None = None,
    ) -> SimulatedListener:
        self._require_open()
        core = self._broker.core
        made = SimulatedListener(
            self._world,
            self._process,
            lambda heard: core.listeners(NAMESPACE, exchange).add(tuple(patterns), heard),
            on_message,
            on_ready,
        )
        await self._wire.call("open", made.connect)
        self._listeners = [one for one in self._listeners if not one.is_closed] + [made]
        if not self._hears:
            made.cut()
        elif on_ready is not None:
            on_ready()
        return made

    # -- the journal -----------------------------------------------------------------------------

    async def journal(self, body: bytes) -> None:
        self._require_open()
        check_chunk(body)
        journal = self._broker.core.journal(NAMESPACE)
        await self._wire.call("dead-letter", lambda: journal.append(body))

    async def read_journal(
        self, *, since: datetime | None = None, follow: bool = False
    ) -> AsyncIterator[bytes]:
        journal = self._broker.core.journal(NAMESPACE)
        async for chunk in journal.read(check_since(since), follow=follow):
            self._require_open()
            if chunk:
                yield chunk

    # -- connections -----------------------------------------------------------------------------

    def cut_all(self, seconds: float) -> None:
        """All connections of this process are lost for a while."""
        if self._is_open:
            self._cut_consumers(seconds)
            self._cut_hearing(seconds)

    def _silent(self, process: Process) -> None:
        """The broker gives up on a process that it did not hear of."""
        if process is self._process:
            self.cut_all(1.0)

    def _cut_consumers(self, seconds: float) -> None:
        for consumer in self._consumers:
            consumer.cut(seconds)

    def _cut_hearing(self, seconds: float) -> None:
        if not self._hears or not self._is_open:
            return
        self._hears = False
        for _, queue in self._addresses:
            queue.cut()
        for listener in self._listeners:
            listener.cut()
        self._world.later(seconds, self._hear_again)

    def _hear_again(self) -> None:
        if not self._process.alive or not self._is_open:
            return
        away = self._broker.away_until - self._world.now
        if away > 0:
            self._world.later(away + self._world.latency(), self._hear_again)
            return
        self._hears = True
        for address, queue in self._addresses:
            address.connections += 1
            queue.reconnect()
        for listener in self._listeners:
            listener.reconnect()

    def _drop(self) -> None:
        """The process is gone: the broker notices that its connections are."""
        self._is_open = False
        if self.cut_all in self._broker.cutters:
            self._broker.cutters.remove(self.cut_all)
        for consumer in self._consumers:
            consumer.close()
        for listener in self._listeners:
            listener.drop()
        for _, queue in self._addresses:
            queue.cut()

    def _require_open(self) -> None:
        if not self._is_open:
            raise BusClosedError("The bus is not open")

    async def __aenter__(self) -> Self:
        self._is_open = True
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._drop()
