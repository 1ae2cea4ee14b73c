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

import orjson

from holdfast_agents.logs import Logger, build_logger
from holdfast_protocol.bus.messages import Broadcast
from tests.chaos.checks.check import check
from tests.chaos.history import History, Violation
from tests.simulation.agents import AgentProcess
from tests.simulation.broker import SimulatedBroker
from tests.simulation.bus import NAMESPACE
from tests.simulation.clients import ClientProcess
from tests.simulation.database import Database
from tests.simulation.faults import Faults, Injected
from tests.simulation.hearing import Ear
from tests.simulation.judging import Judge
from tests.simulation.loop import SimulatedLoop
from tests.simulation.plain import PlainSender
from tests.simulation.plans import COLLECTIONS, PLAIN, Operation, Plan
from tests.simulation.reality import simulated
from tests.simulation.recording import Recorder
from tests.simulation.world import World

_MAX_STEPS: Final = 300_000
_MENDING: Final = 600.0
"""Virtual seconds within which everything must be answered once nothing bad happens any more."""
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
        violations += self._recorder.violations
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
        for agent in self._agents:
            agent.start()
        ear.start()
        asking_once = [one for one in plan.operations if one.client == PLAIN]
        plain = PlainSender(world, broker, self._recorder, asking_once)
        plain.start()
        for client in self._clients:
            client.start()
        world.later(0.5, self._weather, broker, database)
        world.later(_LONGEST_STORM, world.calm)
        async with asyncio.timeout(_LONGEST_STORM + _MENDING):
            for client in self._clients:
                await client.done.wait()
            await plain.done.wait()
        world.calm()
        async with asyncio.timeout(_MENDING):
            self._recorder.violations += await plain.missing()
            judge = Judge(world, broker, self._recorder, self._agents, ear, self._published)
            self._history = await judge.mend()
        self._history.clocks_right_until = world.clocks_right_until
        if not database.table.is_free:
            self._recorder.wrongs.append("a lock of the database is left")

    def _make_clients(self, broker: SimulatedBroker) -> list[ClientProcess]:
        operations = self._plan.operations
        numbers = sorted({operation.client for operation in operations} - {PLAIN})
        clients: list[ClientProcess] = []

        def elsewhere(operation: Operation) -> None:
            clients[(numbers.index(operation.client) + 1) % len(clients)].also(operation)

        for number in numbers:
            own = [operation for operation in operations if operation.client == number]
            name = f"client-{number}"
            clients.append(ClientProcess(self._world, broker, self._recorder, name, own, elsewhere))
        return clients

    def _on_event(self, broadcast: Broadcast) -> None:
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
                case "clocks-jump":
                    self._world.jump(fault.amount)
                case _:
                    for cut in tuple(broker.cutters):
                        cut(seconds / 4)
        self._world.later(2.0, self._weather, broker, database)


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
