"""A sender that asks once and waits: what the broker has confirmed must be answered, whoever dies.

The client library sends again what is not answered, and hides thereby who forgets to answer.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

import orjson

from holdfast_protocol.bus.contract import Publication, ReplyAddress
from holdfast_protocol.bus.messages import ReplyDelivery
from holdfast_protocol.errors import HoldfastError
from tests.chaos.checks.promises import ANSWERED
from tests.chaos.history import Violation
from tests.chaos.load.recording import answer_on_wire
from tests.simulation.broker import SimulatedBroker
from tests.simulation.bus import SimulatedBus
from tests.simulation.plans import Operation
from tests.simulation.recording import Recorder
from tests.simulation.world import World

PATIENCE: Final = 60.0
"""Virtual seconds, once nothing bad happens any more, within which all answers have come."""


class PlainSender:
    """Its process is stopped and cut off, but never killed, so that its answers find it."""

    def __init__(
        self,
        world: World,
        broker: SimulatedBroker,
        recorder: Recorder,
        operations: Sequence[Operation],
    ) -> None:
        self._world = world
        self._broker = broker
        self._recorder = recorder
        self._operations = operations
        self._waiting: dict[str, Operation] = {}
        self._news = asyncio.Event()
        self.done = asyncio.Event()

    def start(self) -> None:
        """Send everything, one after the other."""
        process = self._world.begin("plain")
        process.is_mortal = False
        bus = SimulatedBus(self._broker, process)
        self._world.loop.create_task(self._live(bus), context=process.context)

    async def missing(self) -> list[Violation]:
        """What was confirmed and is not answered, once everything had time for it."""
        try:
            async with asyncio.timeout(PATIENCE):
                while self._waiting:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            pass
        return [Violation(ANSWERED, f"{one} was confirmed, once") for one in self._waiting]

    async def _live(self, bus: SimulatedBus) -> None:
        async with bus:
            while True:
                try:
                    address = await bus.open_reply_address("plain", self._on_reply)
                    break
                except HoldfastError:
                    await asyncio.sleep(0.5)
            for operation in self._operations:
                await asyncio.sleep(operation.pause)
                await self._send(bus, address, operation)
            self.done.set()
            await asyncio.Event().wait()

    async def _send(self, bus: SimulatedBus, address: ReplyAddress, operation: Operation) -> None:
        self._recorder.begin(operation)
        self._waiting[operation.id] = operation
        try:
            await bus.publish(
                Publication(
                    f"storage.{operation.action}",
                    orjson.dumps(operation.message),
                    operation.id,
                    address.address,
                )
            )
        except HoldfastError:
            self._waiting.pop(operation.id, None)

    def _on_reply(self, reply: ReplyDelivery) -> None:
        body = orjson.loads(reply.body)
        self._waiting.pop(body["in_reply_to"], None)
        self._news.set()
        exchange = self._recorder.known(body["in_reply_to"])
        if exchange is not None:
            self._recorder.take(exchange, answer_on_wire(body))
