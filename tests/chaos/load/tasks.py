"""Tasks in the background of a load: whoever fails there fails the run."""

import asyncio
from collections.abc import Collection
from typing import Final

_AGAIN: Final = 1.0  # seconds: what is raised while a task is cancelled may hide that it was


async def end(tasks: Collection["asyncio.Task[None]"]) -> None:
    """Cancel them. Raises what had ended one of them already: nobody has seen that."""
    early = [task for task in tasks if task.done() and not task.cancelled()]
    left = {task for task in tasks if not task.done()}
    while left:
        for task in left:
            task.cancel()
        _done, left = await asyncio.wait(left, timeout=_AGAIN)
    await asyncio.gather(*tasks, return_exceptions=True)
    for task in early:
        task.result()
