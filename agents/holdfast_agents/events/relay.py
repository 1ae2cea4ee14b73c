"""The relay: brings the events of the outbox to the bus, in sequence, at least once.

One process leads at a time. It reads what is not marked as published, announces it, and then
marks it: a death in between has the next leader announce some of it again, under the same ids.
"""

import asyncio
from contextlib import suppress
from time import monotonic
from typing import Final

from holdfast_agents.logs import Logger
from holdfast_backends import Backend, StorageError
from holdfast_backends.errors import EventsPrunedError
from holdfast_backends.outbox import MAX_EVENTS
from holdfast_protocol.bus.contract import Bus
from holdfast_protocol.errors import HoldfastError

from .leadership import Alone, Elected, Leadership
from .marks import Marks, OwnMarks, StoredMarks
from .publishing import announce

RELAY_ROLE: Final = "$relay"
_PAGE_BYTES: Final = 4 * 1024 * 1024
_BREATH_SECONDS: Final = 0.01
"""Between two rounds, so that under load a round has much to do."""
_BUSY_POLL_SECONDS: Final = 0.02
_IDLE_POLL_SECONDS: Final = 0.2
_BUSY_FOR_SECONDS: Final = 2.0
_LEAD_POLL_SECONDS: Final = 1.0
_PAUSE_SECONDS: Final = 0.5
_STEP_BACK_SECONDS: Final = 2.0
_FAREWELL_SECONDS: Final = 3.0


class Relay:
    """Publishes the events of one backend on one bus.

    Args:
        backend: open; the caller closes it.
        bus: open; the caller closes it.
    """

    def __init__(self, backend: Backend, bus: Bus, log: Logger) -> None:
        self._outbox = backend.outbox
        self._is_shared = backend.capabilities.shared
        self._bus = bus
        self._log = log
        self._leadership: Leadership = Alone() if bus.is_local else Elected(backend, RELAY_ROLE)
        self._marks: Marks = OwnMarks(self._outbox) if bus.is_local else StoredMarks(self._outbox)
        self._stopping = asyncio.Event()
        self._busy_until = 0.0
        self._is_failing = False

    async def run(self) -> None:
        """Publish until `stop`, whatever happens to store and broker meanwhile."""
        while not self._stopping.is_set():
            try:
                await self._turn()
                self._is_failing = False
            except StorageError as error:
                self._tell(error.message)
                await self._pause(_PAUSE_SECONDS)
            except HoldfastError as error:
                self._tell(error.message)
                await self._step_back()
            except Exception as error:  # noqa: BLE001 — must not take the agents with it
                self._log.error("events wait", exc_info=error)
                await self._step_back()
        await self._farewell()

    async def _step_back(self) -> None:
        """Give another process the time to lead: it may reach the broker where this one cannot."""
        with suppress(StorageError):
            await self._leadership.resign()
        await self._pause(_STEP_BACK_SECONDS)

    def stop(self) -> None:
        """Publish what is there, and let another process lead."""
        self._stopping.set()

    async def _turn(self) -> None:
        if not await self._leadership.lead():
            await self._pause(_LEAD_POLL_SECONDS)
            return
        began = monotonic()
        if await self._publish():
            self._busy_until = monotonic() + _BUSY_FOR_SECONDS
            await self._pause(_BREATH_SECONDS - (monotonic() - began))
        else:
            await self._wait_for_changes()

    async def _publish(self) -> bool:
        """Publish what is there, at most a page of each collection; whether there was any."""
        marks: dict[str, int] = {}
        try:
            for collection, mark in (await self._marks.unpublished()).items():
                if not await self._leadership.lead():
                    break
                marks[collection] = await self._publish_page(collection, mark)
        finally:
            await self._marks.raise_to(marks)
        return bool(marks)

    async def _publish_page(self, collection: str, mark: int) -> int:
        """Publish the next events of a collection; the sequence up to which it is done."""
        try:
            page = await self._outbox.read(collection, mark, MAX_EVENTS, _PAGE_BYTES)
        except EventsPrunedError as error:
            # They were never kept, or are so old that they were removed.
            self._log.warning("events are not kept any more", error=error.message)
            return error.first_sequence - 1
        if not page.events:
            return page.last_sequence
        await announce(self._bus, collection, page.events)
        return page.events[-1].sequence

    async def _wait_for_changes(self) -> None:
        """Until this process changes something, or others may have."""
        poll = _LEAD_POLL_SECONDS
        if self._is_shared:
            busy = monotonic() < self._busy_until
            poll = _BUSY_POLL_SECONDS if busy else _IDLE_POLL_SECONDS
        waiters = {
            asyncio.ensure_future(self._outbox.changed()),
            asyncio.ensure_future(self._stopping.wait()),
        }
        try:
            await asyncio.wait(waiters, timeout=poll, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiter in waiters:
                waiter.cancel()

    async def _pause(self, seconds: float) -> None:
        if seconds <= 0:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return

    async def _farewell(self) -> None:
        try:
            async with asyncio.timeout(_FAREWELL_SECONDS):
                while self._leadership.is_leader and await self._publish():
                    pass
                await self._leadership.resign()
        except (StorageError, HoldfastError, TimeoutError) as error:
            self._log.warning("events are left to the next relay", error=str(error))

    def _tell(self, error: str) -> None:
        if not self._is_failing:
            self._log.warning("events wait", error=error)
        self._is_failing = True
