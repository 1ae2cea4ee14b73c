"""A subscription that stands all the time, in a process that is stopped and cut, but not killed."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from holdfast_protocol.client import AgentClient
from holdfast_protocol.errors import HoldfastError
from holdfast_protocol.events import ChangeEvent
from tests.simulation.broker import SimulatedBroker
from tests.simulation.bus import SimulatedBus
from tests.simulation.world import World

_RESYNC = 5.0


class Ear:
    """What it was given, by collection."""

    def __init__(self, world: World, broker: SimulatedBroker, collections: Sequence[str]) -> None:
        self._world = world
        self._broker = broker
        self.heard: dict[str, list[Mapping[str, Any]]] = {name: [] for name in collections}
        self.ended: str | None = None
        self._news = asyncio.Event()

    def start(self) -> None:
        """Listen from now on."""
        process = self._world.begin("ear")
        process.is_mortal = False
        self._world.loop.create_task(self._live(), context=process.context)
        self._process = process

    async def until(self, last: Mapping[str, int]) -> None:
        """Until these sequences were heard."""
        while self.ended is None and any(
            not self.heard[name] or self.heard[name][-1]["sequence"] < sequence
            for name, sequence in last.items()
        ):
            self._news.clear()
            await self._news.wait()

    async def _live(self) -> None:
        while True:
            try:
                async with (
                    SimulatedBus(self._broker, self._process) as bus,
                    AgentClient(bus=bus, sender="ear") as client,
                ):
                    await self._hear(client)
            except HoldfastError as error:
                if not error.retryable:
                    self.ended = repr(error)
                    self._news.set()
                    return
                await asyncio.sleep(0.5)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
                self.ended = repr(error)
                self._news.set()
                return

    async def _hear(self, client: AgentClient) -> None:
        after = {name: events[-1]["sequence"] for name, events in self.heard.items() if events}
        async with client.subscribe("#", after=after, resync_seconds=_RESYNC) as events:
            async for event in events:
                self.heard[event.collection].append(_on_wire(event))
                self._news.set()


def _on_wire(event: ChangeEvent) -> Mapping[str, Any]:
    return {
        "id": event.id,
        "collection": event.collection,
        "kind": event.kind,
        "record_id": event.record_id,
        "version": event.version,
        "sequence": event.sequence,
        "message_id": event.message_id,
        "sender": event.sender,
        "document": event.document,
    }
