"""The way from a process to an engine and back, and what can happen on it."""

import asyncio
from collections.abc import Callable
from typing import Any, Final, TypeVar

from tests.simulation.faults import Injected
from tests.simulation.processes import Process
from tests.simulation.world import World

T = TypeVar("T")

SLOW_SECONDS: Final = 6.0
"""Virtual seconds that something slow takes at most: below every timeout of the product."""


class Wire:
    """Calls of one process to one engine.

    The effect of a call takes place in the engine, after some latency, whatever has become of
    the process meanwhile. A call that is lost has no effect; one that is unconfirmed has it, and
    the process is told of a failure.

    Args:
        failure: makes the error that the process then meets.
        away_until: until when the engine cannot be reached.
        patience: seconds that a call waits for an engine that is away.
    """

    def __init__(
        self,
        world: World,
        process: Process,
        failure: Callable[[str], Exception],
        away_until: Callable[[], float],
        patience: float,
    ) -> None:
        self._world = world
        self._process = process
        self._failure = failure
        self._away_until = away_until
        self._patience = patience

    async def call(
        self,
        point: str,
        effect: Callable[[], T],
        *,
        twist: Callable[[Injected], Callable[[], T] | None] | None = None,
    ) -> T:
        """The result of the effect.

        Args:
            twist: another effect in its place, for faults that only this call knows.
        """
        world = self._world
        fault = world.faults.at(point, self._process.name)
        delay = world.latency()
        if fault is not None:
            if world.is_traced:
                world.tell(f"{self._process.name} {point}: {fault.kind}")
            if fault.kind == "slow":
                delay += SLOW_SECONDS * fault.amount
            if twist is not None:
                effect = twist(fault) or effect
        future: asyncio.Future[T] = world.loop.create_future()
        gives_up = world.now + self._patience
        world.later(delay, self._arrive, fault, effect, future, gives_up)
        return await future

    def _arrive(
        self,
        fault: Injected | None,
        effect: Callable[[], T],
        future: "asyncio.Future[T]",
        gives_up: float,
    ) -> None:
        world = self._world
        away_until = self._away_until()
        if away_until > world.now:
            if away_until > gives_up:
                world.later(max(0.0, gives_up - world.now), self._fail, future, "away")
            else:
                wait = away_until - world.now + world.latency()
                world.later(wait, self._arrive, fault, effect, future, gives_up)
            return
        kind = None if fault is None else fault.kind
        if kind == "killed-before" and self._process.is_mortal:
            world.kill(self._process)
        elif kind in ("lost", "killed-before"):
            self._fail_later(fault, future, "lost")
        else:
            self._take_effect(fault, effect, future)

    def _take_effect(
        self, fault: Injected | None, effect: Callable[[], T], future: "asyncio.Future[T]"
    ) -> None:
        kind = None if fault is None else fault.kind
        result: Any = None
        error: Exception | None = None
        try:
            result = effect()
        except Exception as caught:  # noqa: BLE001 - it is the caller's
            error = caught
        if kind == "killed-after" and self._process.is_mortal:
            self._world.kill(self._process)
        elif kind in ("unconfirmed", "late", "killed-after"):
            self._fail_later(fault, future, "unconfirmed")
        elif not future.done():
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)

    def _fail_later(self, fault: Injected | None, future: "asyncio.Future[T]", why: str) -> None:
        amount = 0.0 if fault is None else fault.amount
        # A connection that breaks is noticed at once; silence only after the patience.
        wait = self._patience * amount if amount > 0.5 else 0.0
        self._world.later(wait, self._fail, future, why)

    def _fail(self, future: "asyncio.Future[T]", why: str) -> None:
        if not future.done():
            future.set_exception(self._failure(why))
