"""An event loop of virtual time whose order is decided by a seed.

Time jumps: when nothing is ready, the clock is set to the next timer. Nothing ready and no timer
means that everybody waits for ever, which is a defect: `DeadlockError`.

The order in which ready callbacks run is the loop's choice only where no program may rely on it.
Callbacks keep their order (asyncio promises it of `call_soon`, and futures, timeouts and task
groups are made of it). Steps of *different tasks* that are ready in the same turn change places
among each other: which of two tasks is resumed first depends on a network anywhere else, and
asyncio's own primitives hand over by a future's result, set before the wake-up, whose order they
do not rely on. A task is never ready twice, so its own steps stay in order.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Coroutine, Generator, Sequence
from concurrent.futures import Executor
from contextvars import Context, copy_context
from random import Random
from typing import Any, TypeVar, TypeVarTuple

from tests.simulation.processes import CURRENT, Process

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class DeadlockError(Exception):
    """Everybody waits, and nothing will ever happen."""


class EndlessError(Exception):
    """It goes on and on: more steps than any episode needs."""


class _Task(asyncio.Task[T]):
    """A task whose place in a set follows from its number, not from its address."""

    number = 0
    process: Process | None = None

    def __hash__(self) -> int:
        return self.number


class _Future(asyncio.Future[Any]):
    """A future whose place in a set follows from its number."""

    number = 0

    def __hash__(self) -> int:
        return self.number


class _Handle(asyncio.Handle):
    """A callback that knows whose it is."""

    process: Process | None = None
    is_step = False


class _Timer(asyncio.TimerHandle):
    """A callback that knows whose it is, and waits for its time."""

    process: Process | None = None
    is_step = False


class SimulatedLoop(asyncio.BaseEventLoop):
    """The loop. `order` chooses between steps that are ready together; without it they stay FIFO.

    Attributes:
        now: virtual seconds since the beginning.
        steps: how many callbacks were run.
    """

    def __init__(self, order: Random | None, max_steps: int) -> None:
        super().__init__()
        self._order = order
        self._max_steps = max_steps
        self._queue: deque[_Handle | _Timer] = deque()
        self._timers: list[tuple[float, int, _Timer]] = []
        self._numbers = 0
        self._is_over = False
        self.now = 0.0
        self.steps = 0
        self.errors: list[dict[str, Any]] = []
        self.tasks: list[_Task[Any]] = []
        self.set_task_factory(self._make_task)
        self.set_exception_handler(lambda _loop, context: self.errors.append(context))

    def time(self) -> float:
        """Virtual seconds."""
        return self.now

    def create_future(self) -> asyncio.Future[Any]:
        """A future with a number."""
        future = _Future(loop=self)
        self._numbers += 1
        future.number = self._numbers
        return future

    def _make_task(
        self,
        loop: asyncio.AbstractEventLoop,
        coro: Coroutine[Any, Any, T] | Generator[Any, None, T],
        context: Context | None = None,
    ) -> "_Task[T]":
        # The number must be there before the task is registered, so the class has it meanwhile.
        self._numbers += 1
        _Task.number = self._numbers
        task: _Task[T] = _Task(coro, loop=loop, context=context)
        task.number = self._numbers
        task.process = CURRENT.get() if context is None else context.get(CURRENT)
        return task

    # -- what is to be run -----------------------------------------------------------------------

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """Run it in the next turn."""
        if context is None:
            context = copy_context()
        handle = _Handle(callback, args, self, context)
        handle.process = context.get(CURRENT)
        handle.is_step = isinstance(getattr(callback, "__self__", None), _Task)
        if not self._is_over:
            self._queue.append(handle)
        return handle

    def call_soon_threadsafe(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """There are no threads."""
        return self.call_soon(callback, *args, context=context)

    def call_later(
        self,
        delay: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Run it after so many virtual seconds."""
        return self.call_at(self.now + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Run it at a virtual second."""
        if context is None:
            context = copy_context()
        timer = _Timer(when, callback, args, self, context)
        timer.process = context.get(CURRENT)
        self._numbers += 1
        if not self._is_over:
            heapq.heappush(self._timers, (when, self._numbers, timer))
        return timer

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It is dropped when its time comes."""

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts
    ) -> "asyncio.Future[T]":
        """What would run in a thread runs at once."""
        del executor
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - it is the caller's
            future.set_exception(error)
        return future

    # -- processes -------------------------------------------------------------------------------

    def kill(self, process: Process) -> None:
        """Nothing of it runs any more. Its tasks are kept: to destroy a coroutine is to run its
        `finally`, and a killed process runs nothing."""
        process.alive = False
        process.held.clear()
        self.tasks += [
            task
            for task in asyncio.all_tasks(self)
            if isinstance(task, _Task) and task.process is process
        ]

    def stop_process(self, process: Process) -> None:
        """Its callbacks wait."""
        process.stopped = True

    def continue_process(self, process: Process) -> None:
        """They run now."""
        process.stopped = False
        held, process.held = process.held, []
        self._queue.extend(handle for handle in held if isinstance(handle, (_Handle, _Timer)))

    # -- a turn ----------------------------------------------------------------------------------

    def _run_once(self) -> None:
        queue = self._queue
        if not queue:
            self._advance()
        count = len(queue)
        turn = [queue.popleft() for _ in range(count)]
        if self._order is not None and count > 1:
            self._permute(turn)
        for handle in turn:
            if handle.cancelled():
                continue
            process = handle.process
            if process is not None:
                if not process.alive:
                    continue
                if process.stopped:
                    process.held.append(handle)
                    continue
                process.steps += 1
                if process.steps >= process.strike_at:
                    queue.appendleft(handle)
                    process.on_strike()
                    continue
            handle._run()
        self.steps += count
        if self.steps > self._max_steps:
            raise EndlessError(f"more than {self._max_steps} steps")

    def _permute(self, turn: list[_Handle | _Timer]) -> None:
        places = [place for place, handle in enumerate(turn) if handle.is_step]
        if len(places) < 2:
            return
        steps = [turn[place] for place in places]
        assert self._order is not None
        self._order.shuffle(steps)
        for place, step in zip(places, steps, strict=True):
            turn[place] = step

    def _advance(self) -> None:
        """Set the clock to the next timer, and make ready whatever is due then."""
        timers, queue = self._timers, self._queue
        while timers and (not queue or timers[0][0] <= self.now):
            when, _, timer = heapq.heappop(timers)
            if timer.cancelled() or (timer.process is not None and not timer.process.alive):
                continue
            self.now = max(self.now, when)
            queue.append(timer)
        if not queue:
            raise DeadlockError("everybody waits, and nothing will ever happen")

    def _process_events(self, event_list: object) -> None:
        """There are no files."""

    def _write_to_self(self) -> None:
        """There are no threads."""

    def forget(self) -> None:
        """Let go of everything that would still run, and take nothing more."""
        self._is_over = True
        self._mute((*self.tasks, *asyncio.all_tasks(self)))
        self._queue.clear()
        self._timers.clear()
        self.tasks.clear()

    def _mute(self, tasks: "Sequence[asyncio.Task[Any]]") -> None:
        for task in tasks:
            task._log_destroy_pending = False  # type: ignore[attr-defined]
