"""One episode: a plan is carried out in a world of its own, and its history is checked."""

import asyncio
import gc
import io
import logging
import sys
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Any, Final


from holdfast_agents.logs import Logger, build_logger
from holdfast_protocol.bus.messages import Broadcast
from holdfast_protocol.client import AgentClient
from tests.chaos.checks.check import check
from tests.chaos.history import History, Kept, Violation
from tests.simulation.agents import AgentProcess
from tests.simulation.broker import SimulatedBroker
from tests.simulation.bus import NAMESPACE, SimulatedBus
from tests.simulation.clients import ClientProcess, insist
from tests.simulation.faults import Faults, Injected
from tests.simulation.hearing import Ear
from tests.simulation.loop import SimulatedLoop
from tests.simulation.plans import COLLECTIONS, SENDER, Operation, Plan
from tests.simulation.reality import simulated
from tests.simulation.recording import Recorder
from tests.simulation.store import Database
from tests.simulation.world import World

_MAX_STEPS: Final = 300_000
_MENDING: Final = 600.0
"""Virtual seconds within which everything must be answered once nothing bad happens any more."""
_COMING_BACK: Final = 30.0
"""Virtual seconds within which every agent serves again."""
_LONGEST_STORM: Final = 120.0
"""Virtual seconds after which nothing bad happens any more, however much is still to be done."""
_COLLECTIONS: Final = 5
_LONGEST_AWAY: Final = 12.0
SANE: Final = "nothing ends in a defect of its own"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an episode.

    Attributes:
        violations: the promises that were broken.
        faults: what was injected.
        kinds: how many faults there were, by point and kind.
        deliveries, faulted: bodies that were handed to a receiver, or lost on the way, and those
            of them that a fault met, by what they were.
        digest: of the trace; the same for the same episode.
    """

    plan: Plan
    violations: tuple[Violation, ...]
    faults: tuple[Injected, ...]
    kinds: Counter[str]
    deliveries: Counter[str]
    faulted: Counter[str]
    seconds: float
    steps: int
    digest: str
    trace: Sequence[str]


def run(plan: Plan, *, is_traced: bool = False) -> Outcome:
    """Carry out a plan. Nothing of the real world has a part in it."""
    with _undisturbed() as complaints:
        order = Random(f"order {plan.seed}") if plan.order else None
        loop = SimulatedLoop(order, _MAX_STEPS)
        with simulated(loop.time, plan.seed):
            try:
                return _Episode(plan, loop, complaints, is_traced=is_traced).run()
            finally:
                _bury(loop)


class _Episode:
    """Its parts."""

    def __init__(
        self, plan: Plan, loop: SimulatedLoop, complaints: io.StringIO, *, is_traced: bool
    ) -> None:
        self._plan = plan
        self._loop = loop
        self._complaints = complaints
        source = Random(f"faults {plan.seed}") if plan.faults is None else None
        self._faults = Faults(source, plan.fault_rates(), plan.faults or ())
        self._world = World(loop, self._faults, plan.seed, is_traced=is_traced)
        self._recorder = Recorder(loop.time)
        self._published: dict[str, list[Mapping[str, Any]]] = {name: [] for name in COLLECTIONS}
        self._history: History | None = None
        self._agents: list[AgentProcess] = []
        self._clients: list[ClientProcess] = []

    def run(self) -> Outcome:
        violations: list[Violation] = []
        try:
            self._loop.run_until_complete(self._live())
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
            violations.append(Violation(SANE, f"{type(error).__name__}: {error}"))
        violations += [Violation(SANE, text) for text in self._wrongs()]
        if self._history is not None:
            violations += check(self._history)
        world = self._world
        return Outcome(
            self._plan,
            tuple(violations),
            tuple(self._faults.injected),
            self._faults.kinds,
            world.deliveries,
            world.faulted,
            world.now,
            self._loop.steps,
            world.digest() if world.is_traced else "",
            world.trace,
        )

    def _wrongs(self) -> Iterator[str]:
        yield from self._recorder.wrongs
        for agent in self._agents:
            yield from agent.failures
        for context in self._loop.errors:
            yield f"{context.get('message')}: {context.get('exception')!r}"
        complaints = self._complaints.getvalue()
        if complaints:
            yield f"the log says: {complaints}"

    async def _live(self) -> None:
        world, plan = self._world, self._plan
        broker = SimulatedBroker(world)
        database = Database(world, locks=plan.locks)
        broker.core.declare_queue(NAMESPACE, "storage")
        broker.core.listeners(NAMESPACE, "events").add(("#",), self._on_event)
        log = _logger(self._complaints)
        self._agents = [
            AgentProcess(world, broker, database, f"agent-{number}", plan.limits, log)
            for number in range(plan.agents)
        ]
        ear = Ear(world, broker, COLLECTIONS)
        self._clients = self._make_clients(broker)
        for begun in (*self._agents, ear, *self._clients):
            begun.start()
        world.later(0.5, self._weather, broker, database)
        world.later(_LONGEST_STORM, world.calm)
        async with asyncio.timeout(_LONGEST_STORM + _MENDING):
            for client in self._clients:
                await client.done.wait()
        world.calm()
        async with asyncio.timeout(_MENDING):
            await self._mend(broker, database, ear)

    def _make_clients(self, broker: SimulatedBroker) -> list[ClientProcess]:
        operations = self._plan.operations
        numbers = sorted({operation.client for operation in operations})
        clients: list[ClientProcess] = []

        def elsewhere(operation: Operation) -> None:
            clients[(numbers.index(operation.client) + 1) % len(clients)].also(operation)

        for number in numbers:
            own = [operation for operation in operations if operation.client == number]
            name = f"client-{number}"
            clients.append(
                ClientProcess(self._world, broker, self._recorder, name, own, elsewhere)
            )
        return clients

    def _on_event(self, broadcast: Broadcast) -> None:
        import orjson

        event = orjson.loads(broadcast.body)
        self._published[event["collection"]].append(event)

    def _weather(self, broker: SimulatedBroker, database: Database) -> None:
        """Now and then something happens to everybody."""
        if self._faults.is_calm:
            return
        fault = self._faults.at("weather", "world")
        if fault is not None:
            seconds = _LONGEST_AWAY * fault.amount**2
            match fault.kind:
                case "broker-restart":
                    broker.restart(seconds)
                case "store-away":
                    database.go_away(seconds)
                case _:
                    for cut in tuple(broker.cutters):
                        cut(seconds / 4)
        self._world.later(2.0, self._weather, broker, database)

    # -- when it is over -------------------------------------------------------------------------

    async def _mend(self, broker: SimulatedBroker, database: Database, ear: Ear) -> None:
        async with asyncio.timeout(_COMING_BACK):
            while not all(agent.ready for agent in self._agents):
                await asyncio.sleep(0.25)
        process = self._world.begin("judge")
        task = self._loop.create_task(
            self._judge(SimulatedBus(broker, process), broker, ear), context=process.context
        )
        await task
        for agent in self._agents:
            await agent.stop()
        for agent in self._agents:
            if agent.unsettled:
                self._recorder.wrongs.append(f"{agent.unsettled} deliveries are left unsettled")
        if not database.table.is_free:
            self._recorder.wrongs.append("a lock of the database is left")

    async def _judge(self, bus: SimulatedBus, broker: SimulatedBroker, ear: Ear) -> None:
        async with bus, AgentClient(bus=bus, sender=SENDER) as client:
            for exchange in self._recorder.exchanges:
                while exchange.answer is None:
                    exchange.repeated += 1
                    await self._ask_again(client, exchange)
            kept = {name: await self._kept(client, name) for name in COLLECTIONS}
            last = {
                name: records.events[-1]["sequence"] for name, records in kept.items() if records.events
            }
            try:
                async with asyncio.timeout(120.0):
                    await ear.until(last)
                    await self._until_published(last)
            except TimeoutError:
                self._world.tell("not everything was heard")
            kept = {
                name: Kept(
                    records.records,
                    records.versions,
                    records.events,
                    ear.heard[name],
                    self._published[name],
                )
                for name, records in kept.items()
            }
            left = await self._until_empty(client, broker)
        self._history = History(self._recorder.exchanges, kept, {}, left)
        if ear.ended is not None:
            self._recorder.wrongs.append(f"the subscription ended: {ear.ended}")

    async def _ask_again(self, client: AgentClient, exchange: Any) -> None:
        from tests.chaos.load.recording import answer_of

        message = exchange.message
        response = await client.request(
            "storage", message["action"], message["payload"], message_id=message["id"]
        )
        if not self._recorder.take(exchange, answer_of(response)):
            await asyncio.sleep(0.25)

    async def _kept(self, client: AgentClient, name: str) -> Kept:
        page, meta = await insist(
            client, "storage_list", {"collection": name, "with_meta": True, "limit": 1000}
        )
        events: list[Mapping[str, Any]] = []
        while True:
            payload = {"collection": name, "after": len(events), "limit": 1000}
            more, facts = await insist(client, "storage_events", payload)
            events += more
            if not more or events[-1]["sequence"] >= facts["last_sequence"]:
                break
        records = {document["id"]: document for document in page}
        versions = {record["id"]: record["version"] for record in meta["records"]}
        return Kept(records, versions, events)

    async def _until_published(self, last: Mapping[str, int]) -> None:
        def is_behind() -> bool:
            return any(
                max((event["sequence"] for event in self._published[name]), default=0) < sequence
                for name, sequence in last.items()
            )

        while is_behind():
            await asyncio.sleep(0.25)

    async def _until_empty(self, client: AgentClient, broker: SimulatedBroker) -> int:
        """How many messages are left, once everybody had time for them."""
        for _ in range(200):
            left = sum(agent.unsettled for agent in self._agents)
            left += broker.ready()
            if not left:
                return 0
            await asyncio.sleep(0.25)
        return left


@contextmanager
def _undisturbed() -> Iterator[io.StringIO]:
    """Collect no garbage meanwhile, and keep what is logged as an error."""
    complaints = io.StringIO()
    handler = logging.StreamHandler(complaints)
    logger = logging.getLogger("holdfast")
    level, propagates = logger.level, logger.propagate
    logger.setLevel(logging.ERROR)
    logger.propagate = False
    logger.addHandler(handler)
    collects = gc.isenabled()
    gc.disable()
    try:
        yield complaints
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagates
        if collects:
            gc.enable()


def _logger(stream: io.StringIO) -> Logger:
    return build_logger("error", "json", stream)


def _bury(loop: SimulatedLoop) -> None:
    """Let go of what was killed: its `finally`s run only now, when nothing can come of them."""
    hook = sys.unraisablehook
    sys.unraisablehook = lambda _unraisable: None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # coroutines that never began
        _let_go(loop)
    sys.unraisablehook = hook


def _let_go(loop: SimulatedLoop) -> None:
    try:
        loop.forget()
        for _ in range(_COLLECTIONS):
            # What resists its end (`finally` awaits something) goes at the next try.
            if not gc.collect():
                break
    finally:
        loop.close()


