"""The world of one episode: time, processes, latency, faults, and a trace of what happened."""

import hashlib
from collections import Counter
from collections.abc import Callable
from contextvars import Context, copy_context
from math import inf
from random import Random
from typing import Final

from tests.simulation.faults import Faults, Injected
from tests.simulation.loop import SimulatedLoop
from tests.simulation.processes import Process

_LONGEST_LATENCY: Final = 0.05
_LONGEST_STOP: Final = 40.0
"""Virtual seconds that a process is stopped at most: longer than heartbeats and leases."""
_MOST_OFF: Final = 20.0
_LONGEST_JUMP: Final = 600.0
_HEARTBEAT: Final = 15.0


class World:
    """What all simulated processes share.

    Args:
        seed: of latencies; the schedule and the faults have their own.
        is_traced: whether what happens is written down.
    """

    def __init__(self, loop: SimulatedLoop, faults: Faults, seed: str, *, is_traced: bool) -> None:
        self.loop = loop
        self.faults = faults
        self.context: Context = copy_context()
        self.deliveries: Counter[str] = Counter()
        self.faulted: Counter[str] = Counter()
        self.processes: list[Process] = []
        self.clocks_right_until = inf
        """When the first agent had a wall clock that was wrong."""
        self.on_silence: list[Callable[[Process], None]] = []
        """Called when a process was not heard of for longer than a heartbeat."""
        self._random = Random(f"latency {seed}")
        self._trace: list[str] | None = [] if is_traced else None

    # -- time ------------------------------------------------------------------------------------

    @property
    def now(self) -> float:
        """Virtual seconds since the beginning."""
        return self.loop.now

    def latency(self) -> float:
        """Seconds that something takes on its way: mostly hardly any, rarely much more."""
        return _LONGEST_LATENCY * self._random.random() ** 4

    def chance(self, probability: float) -> bool:
        """Whether something happens that is no fault."""
        return self._random.random() < probability

    def later(self, seconds: float, act: Callable[..., None], *args: object) -> None:
        """Do something after a while that is no process's deed."""
        self.loop.call_later(seconds, act, *args, context=self.context)

    # -- the trace -------------------------------------------------------------------------------

    def tell(self, what: str) -> None:
        """Write down what happens."""
        if self._trace is not None:
            self._trace.append(f"{self.now:.6f} {what}")

    @property
    def is_traced(self) -> bool:
        """Whether it is worth making a text of it."""
        return self._trace is not None

    @property
    def trace(self) -> list[str]:
        """What happened, in order."""
        return self._trace or []

    def digest(self) -> str:
        """The same for the same events in the same order."""
        text = "\n".join([*self.trace, f"{self.loop.steps} steps, {self.now!r} seconds"])
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def delivered(self, what: str, *, is_faulted: bool) -> None:
        """A body was handed to its receiver, or never will be."""
        self.deliveries[what] += 1
        if is_faulted:
            self.faulted[what] += 1

    # -- processes -------------------------------------------------------------------------------

    def begin(self, name: str) -> Process:
        """A new process; what is run in its context belongs to it."""
        process = Process(name)
        self.processes.append(process)
        process.on_strike = lambda: self._strike(process)
        self._plan_strike(process)
        fault = self.faults.at("clock", name)
        if fault is not None:
            process.wall_offset = _MOST_OFF * (fault.amount - 0.5)
        self.tell(f"{name} begins")
        return process

    def kill(self, process: Process) -> None:
        """SIGKILL: nothing of it runs any more, and its connections break."""
        if not process.alive or not process.is_mortal:
            return
        self.tell(f"{process.name} is killed")
        self.loop.kill(process)
        farewells, process.on_death = process.on_death, []
        for act in farewells:
            act()

    def stop(self, process: Process, seconds: float) -> None:
        """SIGSTOP, and SIGCONT after a while."""
        if process.stopped or not process.alive:
            return
        self.tell(f"{process.name} is stopped for {seconds:.3f} s")
        process.stops += 1
        self.loop.stop_process(process)
        if seconds > _HEARTBEAT:
            self.later(_HEARTBEAT, self._silent, process)
        self.later(seconds, self._continue, process)

    def _silent(self, process: Process) -> None:
        if process.stopped and process.alive:
            for act in self.on_silence:
                act(process)

    def _continue(self, process: Process) -> None:
        if process.stopped and process.alive:
            self.tell(f"{process.name} goes on")
            self.loop.continue_process(process)

    def jump(self, amount: float) -> None:
        """The machines' wall clocks are set, all by the same."""
        self.tell(f"clocks jump: {amount}")
        self.trust_no_clock()
        for process in self.processes:
            process.wall_offset += _LONGEST_JUMP * (amount - 0.5)

    def trust_no_clock(self) -> None:
        """An agent has a wall clock that is wrong, from now on."""
        self.clocks_right_until = min(self.clocks_right_until, self.now)

    def calm(self) -> None:
        """From now on nothing bad happens; what is stopped goes on."""
        if self.faults.is_calm:
            return
        self.tell("calm")
        self.faults.is_calm = True
        for process in self.processes:
            process.strike_at = inf
            self._continue(process)

    def _plan_strike(self, process: Process) -> None:
        process.strike_at = self.faults.next_strike(process.name, process.steps)

    def _strike(self, process: Process) -> None:
        fault = self.faults.strike(process.name, process.steps)
        self._plan_strike(process)
        if fault is not None:
            self._suffer(process, fault)

    def _suffer(self, process: Process, fault: Injected) -> None:
        if fault.kind == "killed" and process.is_mortal:
            self.kill(process)
        else:
            self.stop(process, _LONGEST_STOP * fault.amount**3)
