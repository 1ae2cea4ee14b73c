"""What a client still has to finish when its caller was cancelled, within bounds."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Final

_log = logging.getLogger("holdfast.client")

MAX_TASKS: Final = 1_000
_PARTING: Final = 2.0
"""Seconds that a client's closing waits for what is under way."""


class Background:
    """Tasks that nobody waits for. They end by themselves, at the latest with the client."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[object, object, None], what: str) -> None:
        """Do it some time; what it raises is logged. Beyond 1,000 at once it is not done."""
        if len(self._tasks) >= MAX_TASKS:
            work.close()
            _log.warning("Too much is under way in the background; not done: %s", what)
            return
        task = asyncio.get_running_loop().create_task(_logged(work, what))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Wait a moment for what is under way, and cancel the rest."""
        tasks = tuple(self._tasks)
        if not tasks:
            return
        try:
            await asyncio.wait(tasks, timeout=_PARTING)
        finally:
            for task in tasks:
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _logged(work: Coroutine[object, object, None], what: str) -> None:
    try:
        await work
    except Exception as error:  # noqa: BLE001 - nobody waits for it; handed to the log
        _log.warning("Could not %s: %s", what, error)
