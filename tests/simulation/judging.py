"""The end of an episode: nothing bad happens any more, everything is asked until it is answered,
and what is kept is read."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from holdfast_protocol.client import AgentClient
from holdfast_protocol.errors import HoldfastError, NotFoundError
from tests.chaos.history import Exchange, History, Kept
from tests.chaos.load.recording import answer_of
from tests.simulation.agents import AgentProcess
from tests.simulation.broker import SimulatedBroker
from tests.simulation.bus import SimulatedBus
from tests.simulation.hearing import Ear
from tests.simulation.plans import COLLECTIONS, SENDER
from tests.simulation.recording import Recorder
from tests.simulation.world import World

_COMING_BACK: Final = 40.0
"""Virtual seconds within which every agent serves again."""
_HEARING: Final = 60.0
"""Virtual seconds within which everything is published and heard."""
_PAUSE: Final = 0.25
_ATTEMPTS: Final = 200
_PAGE: Final = 1_000

Published = Mapping[str, list[Mapping[str, Any]]]


class Judge:
    """Who asks and reads in the end."""

    def __init__(
        self,
        world: World,
        broker: SimulatedBroker,
        recorder: Recorder,
        agents: Sequence[AgentProcess],
        ear: Ear,
        published: Published,
    ) -> None:
        self._world = world
        self._broker = broker
        self._recorder = recorder
        self._agents = agents
        self._ear = ear
        self._published = published

    async def mend(self) -> History:
        """The history, once everybody has come back, was asked and has ended."""
        async with asyncio.timeout(_COMING_BACK):
            while not all(agent.ready for agent in self._agents):  # noqa: ASYNC110 - virtual time
                await asyncio.sleep(_PAUSE)
        process = self._world.begin("judge")
        bus = SimulatedBus(self._broker, process)
        history = await self._world.loop.create_task(self._judge(bus), context=process.context)
        for agent in self._agents:
            await agent.stop()
            if agent.unsettled:
                self._recorder.wrongs.append(f"{agent.unsettled} deliveries are left unsettled")
        return history

    async def _judge(self, bus: SimulatedBus) -> History:
        async with bus, AgentClient(bus=bus, sender=SENDER) as client:
            for exchange in self._recorder.exchanges:
                if exchange.expects == "answer":
                    await self._ask_again(client, exchange)
            # What asked for no answer may still be under way, and is to be read, too.
            await self._until_empty()
            kept = {name: await _kept(client, name) for name in COLLECTIONS}
            await self._wait_for_events(
                {name: one.events[-1]["sequence"] for name, one in kept.items() if one.events}
            )
            left = await self._until_empty()
        if self._ear.ended is not None:
            self._recorder.wrongs.append(f"the subscription ended: {self._ear.ended}")
        complete = {name: self._with_events(name, one) for name, one in kept.items()}
        return History(self._recorder.exchanges, complete, self._broker.dead_letters(), left)

    def _with_events(self, name: str, kept: Kept) -> Kept:
        heard, published = self._ear.heard[name], self._published[name]
        return Kept(kept.records, kept.versions, kept.events, heard, published)

    async def _ask_again(self, client: AgentClient, exchange: Exchange) -> None:
        """Until it is answered; what gives no answer even now is left without one."""
        message = exchange.message
        for _ in range(_ATTEMPTS):
            if exchange.answer is not None:
                return
            exchange.repeated += 1
            try:
                response = await client.request(
                    "storage", message["action"], message["payload"], message_id=message["id"]
                )
            except HoldfastError as error:
                self._world.tell(f"{message['id']} is not answered in calm: {error!r}")
                return
            if not self._recorder.take(exchange, answer_of(response)):
                await asyncio.sleep(_PAUSE)

    async def _wait_for_events(self, last: Mapping[str, int]) -> None:
        """What does not come in time is for the checks."""
        try:
            async with asyncio.timeout(_HEARING):
                await self._ear.until(last)
                while self._is_unpublished(last):  # noqa: ASYNC110 - virtual time
                    await asyncio.sleep(_PAUSE)
        except TimeoutError:
            self._world.tell("not everything was heard")

    def _is_unpublished(self, last: Mapping[str, int]) -> bool:
        return any(
            max((event["sequence"] for event in self._published[name]), default=0) < sequence
            for name, sequence in last.items()
        )

    async def _until_empty(self) -> int:
        """How many messages are left, once everybody had time for them."""
        left = 0
        for _ in range(200):
            left = sum(agent.unsettled for agent in self._agents) + self._broker.unsettled()
            if not left:
                break
            await asyncio.sleep(_PAUSE)
        return left


async def _kept(client: AgentClient, name: str) -> Kept:
    """A collection as it is."""
    asked = {"collection": name, "with_meta": True, "limit": _PAGE}
    page, meta = await _insist(client, "storage_list", asked)
    events: list[Mapping[str, Any]] = []
    while True:
        after = events[-1]["sequence"] if events else 0
        payload = {"collection": name, "after": after, "limit": _PAGE}
        try:
            more, facts = await _insist(client, "storage_events", payload)
        except NotFoundError:
            break  # a hole: the checks see that the rest is missing
        events += more
        if not more or events[-1]["sequence"] >= facts["last_sequence"]:
            break
    records = {document["id"]: document for document in page}
    versions = {record["id"]: record["version"] for record in meta["records"]}
    return Kept(records, versions, events)


async def _insist(client: AgentClient, action: str, payload: Mapping[str, object]) -> Any:
    """Result and meta of what must succeed, as nothing bad happens any more."""
    while True:
        response = await client.request("storage", action, payload)
        if response.error_type not in ("unavailable", "overloaded"):
            response.raise_for_error()
            return response.result, response.meta
        await asyncio.sleep(_PAUSE)
