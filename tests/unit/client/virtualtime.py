"""Time that passes only when everybody waits: exact, and without a pause."""

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from typing import ParamSpec

P = ParamSpec("P")

_PATIENCE = 3_600.0  # virtual seconds: a bound for a test that would never end


class _Selector(selectors.DefaultSelector):
    """Does not wait: what the loop would have slept is added to its clock."""

    passed = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise AssertionError("everybody waits, and nothing will ever happen")
        self.passed += max(timeout, 0.0)
        ready: list[tuple[selectors.SelectorKey, int]] = super().select(0)
        return ready


class VirtualClockLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock begins at 0 and runs by jumps."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.passed


def in_virtual_time(
    test: Callable[P, Coroutine[object, object, None]],
) -> Callable[P, None]:
    """The test as a function that runs it on a loop of its own, in virtual time."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(_PATIENCE):
                await test(*args, **kwargs)

        with asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
            runner.run(bounded())

    return run


def now() -> float:
    """The present moment of the running loop's clock, in seconds."""
    return asyncio.get_running_loop().time()
