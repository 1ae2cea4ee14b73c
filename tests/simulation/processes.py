"""Simulated processes: whose code a callback is, and what may happen to them.

A process is nothing but a mark in a context: what a task or callback was begun in, it belongs to.
Killing one drops all of its callbacks, at any of them, and nothing of it ever runs again: no
`finally`, no farewell.
"""

import asyncio
from collections.abc import Callable
from contextvars import Context, ContextVar, copy_context
from math import inf
from typing import Final

CURRENT: Final[ContextVar["Process | None"]] = ContextVar("simulated process", default=None)
"""Whose code runs; None is the world itself: networks, brokers, databases."""


class Process:
    """One simulated process.

    Attributes:
        name: who it is, e.g. `agent-1.2` for the second start of the first agent.
        is_mortal: whether it may be killed.
        steps: how many callbacks of it have run.
        stops: how often it was stopped.
        strike_at: before which step something happens to it.
        wall_offset: by how many seconds its wall clock differs from the true time.
        alive: whether it runs, or will again.
        stopped: whether it is stopped (SIGSTOP): its callbacks wait.
    """

    __slots__ = (
        "alive",
        "context",
        "held",
        "is_mortal",
        "name",
        "on_death",
        "on_strike",
        "steps",
        "stopped",
        "stops",
        "strike_at",
        "wall_offset",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        self.stopped = False
        self.is_mortal = True
        self.steps = 0
        self.stops = 0
        self.strike_at = inf
        self.on_strike: Callable[[], None] = _nothing
        self.on_death: list[Callable[[], None]] = []
        self.held: list[asyncio.Handle] = []
        self.wall_offset = 0.0
        self.context: Context = copy_context()
        self.context.run(CURRENT.set, self)


def current() -> Process | None:
    """Whose code runs."""
    return CURRENT.get()


def _nothing() -> None:
    return None
