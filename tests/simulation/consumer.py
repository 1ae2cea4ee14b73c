"""Consuming a queue of the simulated broker over a connection that may break."""

import asyncio
from collections.abc import Callable
from random import Random

from holdfast_protocol.bus.memory_consumer import MemoryConsumer
from holdfast_protocol.bus.messages import Delivery
from tests.simulation.broker import SimulatedBroker
from tests.simulation.processes import Process
from tests.simulation.wire import SLOW_SECONDS


class SimulatedConsumer:
    """One consumer over all of its connections; each has a consumer of the broker's own.

    Args:
        connect: makes that of the next connection.
    """

    def __init__(
        self, broker: SimulatedBroker, process: Process, connect: Callable[[], MemoryConsumer]
    ) -> None:
        self._broker = broker
        self._world = broker.world
        self._process = process
        self._connect = connect
        self._inner = connect()
        self._is_cut = False
        self._cancelled = False
        self._back = asyncio.Event()

    @property
    def connected(self) -> bool:
        """As `Consumer.connected`."""
        return not self._is_cut and self._inner.connected

    async def receive(self) -> list[Delivery]:
        """As `Consumer.receive`."""
        while True:
            deliveries = await self._inner.receive()
            if deliveries:
                return await self._received(deliveries)
            if self._cancelled:
                return []
            await self._back.wait()

    async def _received(self, deliveries: list[Delivery]) -> list[Delivery]:
        world = self._world
        fault = world.faults.at("receive", self._process.name)
        if fault is not None:
            world.tell(f"{self._process.name} receive: {fault.kind}")
            match fault.kind:
                case "reordered":
                    Random(fault.amount).shuffle(deliveries)
                case "slow":
                    await asyncio.sleep(SLOW_SECONDS * fault.amount)
                case "cut":
                    self.cut(SLOW_SECONDS * fault.amount)
                case _:
                    world.later(0.0, world.kill, self._process)
                    await world.loop.create_future()
        known = self._broker.faulted
        for delivery in deliveries:
            is_faulted = fault is not None or delivery.redelivered
            is_faulted = is_faulted or delivery.message_id in known
            world.delivered("message", is_faulted=is_faulted)
            if world.is_traced:
                again = " again" if delivery.redelivered else ""
                world.tell(f"{self._process.name} takes {delivery.tag}{again}")
        return deliveries

    async def ack(self, deliveries: list[Delivery]) -> None:
        """As `Consumer.ack`: nothing is confirmed, so nothing is waited for."""
        world = self._world
        fault = world.faults.at("ack", self._process.name)
        kind = None if fault is None else fault.kind
        if kind is not None:
            world.tell(f"{self._process.name} ack: {kind}")
        if kind == "killed-before":
            world.later(0.0, world.kill, self._process)
            await world.loop.create_future()
        if kind in ("lost", "cut") and fault is not None:
            self.cut(SLOW_SECONDS * fault.amount)
            return
        world.later(world.latency(), self._settled, self._inner, deliveries)
        if kind == "killed-after":
            world.later(0.0, world.kill, self._process)
            await world.loop.create_future()

    def _settled(self, inner: MemoryConsumer, deliveries: list[Delivery]) -> None:
        # Settling ends with the connection: what it had in hand is back by then.
        _immediate(inner.ack(deliveries))

    async def requeue(self, deliveries: list[Delivery]) -> None:
        """As `Consumer.requeue`."""
        await self._inner.requeue(deliveries)

    async def cancel(self) -> None:
        """As `Consumer.cancel`."""
        self._cancelled = True
        self._back.set()
        await self._inner.cancel()

    def cut(self, seconds: float) -> None:
        """The connection is lost: what is unsettled goes back, and for a while nothing comes."""
        if self._is_cut:
            return
        self._is_cut = True
        self._back.clear()
        self._inner.close()
        self._world.later(seconds, self._reconnect)

    def _reconnect(self) -> None:
        if not self._process.alive:
            return
        away = self._broker.away_until - self._world.now
        if away > 0:
            self._world.later(away + self._world.latency(), self._reconnect)
            return
        self._is_cut = False
        if not self._cancelled:
            self._inner = self._connect()
            self._back.set()

    def close(self) -> None:
        """It is over: what is unsettled goes back."""
        self._cancelled = True
        self._back.set()
        self._inner.close()


def _immediate(work: object) -> None:
    """Run what never waits."""
    try:
        work.send(None)  # type: ignore[attr-defined]
    except StopIteration:
        return
    raise RuntimeError("it waited")
