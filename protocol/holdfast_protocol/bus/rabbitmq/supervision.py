"""Keeps a connection or a channel alive: makes it, watches it, makes it again when lost."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

from holdfast_protocol.bus.rabbitmq.driver import (
    REFUSED,
    Resource,
    close_quietly,
    describe,
    lost_connections,
    refusal,
)
from holdfast_protocol.errors import BusClosedError, UnavailableError

_log = logging.getLogger("holdfast.bus")

_FIRST_DELAY = 0.1
_LONGEST_DELAY = 2.0  # seconds: a message takes four connections, and waits for the last of them
_SETTLED_AFTER = 10.0  # seconds a resource must have lived to be replaced without a delay


R = TypeVar("R", bound=Resource)


class Supervisor(Generic[R]):
    """Holds the current resource, or None while there is none.

    `make` waits for what it needs and may raise anything: that is logged, and tried again
    after a delay that grows to 5 seconds. `on_up` is called on the event loop as soon as a
    resource is there, `on_lost` as soon as it is gone. `generation` counts the resources made.
    """

    def __init__(
        self,
        name: str,
        make: Callable[[], Awaitable[R]],
        *,
        on_up: Callable[[], None] | None = None,
        on_lost: Callable[[], None] | None = None,
    ) -> None:
        self.current: R | None = None
        self.generation = 0
        self._name = name
        self._make = make
        self._on_up = on_up
        self._on_lost = on_lost
        self._closed = False
        self._asked_to_close = False
        self._failure: Exception | None = None
        self._up = asyncio.Event()
        self._given_up = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def closed(self) -> bool:
        """Whether no other resource will be made."""
        return self._closed

    async def start(self, timeout: float) -> None:
        """Start to supervise, and wait until the resource was there once (seconds).

        Raises UnavailableError when it is not in time or is refused, and BusClosedError when
        what it needs was closed; nothing runs on then.
        """
        self._task = asyncio.create_task(self._run(), name=f"holdfast {self._name}")
        self._task.add_done_callback(self._ended)
        up = asyncio.create_task(self._up.wait())
        try:
            await asyncio.wait(
                [self._task, up], timeout=timeout, return_when=asyncio.FIRST_COMPLETED
            )
        except BaseException:
            await self.close()  # nobody will hold it, though it may be up by now
            raise
        finally:
            up.cancel()
            closed = self._asked_to_close
            if self.generation == 0:
                await self.close()
        if self.generation == 0:
            if closed or isinstance(self._failure, BusClosedError):
                raise BusClosedError("The bus was closed")
            if isinstance(self._failure, REFUSED):
                raise refusal(self._failure) from self._failure
            raise UnavailableError("The broker cannot be reached") from self._failure

    async def get(self) -> R:
        """The resource, as soon as there is one. Raises BusClosedError when closed."""
        while self.current is None:
            if self._closed:
                raise BusClosedError("The bus was closed")
            await self._up.wait()
        return self.current

    def recycle(self) -> None:
        """Give the current resource up at once, and make another one."""
        self.current = None
        if not self._closed:
            self._up.clear()
        self._given_up.set()

    def finish(self) -> None:
        """Keep the current resource, but make no other one once it is lost."""
        self._closed = self._asked_to_close = True
        if self.current is None and self._task is not None:
            self._task.cancel()

    async def close(self) -> None:
        """Give up for good. Takes a few seconds at most."""
        self._closed = self._asked_to_close = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self._up.set()

    async def _run(self) -> None:
        delay = 0.0
        while not self._closed:
            await asyncio.sleep(delay * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load
            delay = min(max(delay * 2, _FIRST_DELAY), _LONGEST_DELAY)
            self._given_up.clear()
            resource = await self._try_to_make()
            if resource is not None and self._closed:
                # The driver waits by wait_for, which in Python 3.11 may lose a cancellation.
                await close_quietly(resource)
            elif resource is not None:
                since = time.monotonic()
                await self._watch(resource)
                if time.monotonic() - since > _SETTLED_AFTER:
                    delay = 0.0
            elif self._is_hopeless():
                return

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Whatever ends the supervision: nobody waits for ever for what will not come."""
        if not task.cancelled() and task.exception() is not None:
            _log.error("%s is no longer supervised", self._name, exc_info=task.exception())
        self._closed = True
        self._up.set()

    async def _try_to_make(self) -> R | None:
        try:
            with lost_connections():
                return await self._make()
        except Exception as error:  # noqa: BLE001 - whatever it is: told, and tried again
            if self._failure is None and not isinstance(error, BusClosedError):
                level = logging.ERROR if isinstance(error, REFUSED) else logging.WARNING
                _log.log(level, "No %s: %s; trying again", self._name, describe(error))
            self._failure = error
            return None

    def _is_hopeless(self) -> bool:
        """Whether what it needs was closed, or the broker refuses what it never granted."""
        if isinstance(self._failure, BusClosedError):
            return True
        return self.generation == 0 and isinstance(self._failure, REFUSED)

    async def _watch(self, resource: R) -> None:
        """Offer the resource until it is lost, given up or the supervisor is closed."""
        self._failure = None
        self.current = resource
        self.generation += 1
        self._up.set()
        _log.info("%s is up (%d)", self._name, self.generation)
        if self._on_up is not None:
            self._on_up()
        given_up = asyncio.create_task(self._given_up.wait())
        closing = resource.closing
        try:
            await asyncio.wait([closing, given_up], return_when=asyncio.FIRST_COMPLETED)
            _log.warning("%s is lost: %s", self._name, _why(closing))
        finally:
            given_up.cancel()
            self.current = None
            if not self._closed:
                self._up.clear()
            if self._on_lost is not None:
                self._on_lost()
            await close_quietly(resource)


def _why(closing: "asyncio.Future[Any]") -> str:
    if not closing.done() or closing.cancelled():
        return "given up"
    return describe(closing.exception())
