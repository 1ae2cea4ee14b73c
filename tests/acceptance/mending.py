"""An operator: whoever looks after the dead letters with the real `holdfast dlq`."""

import asyncio
import json
from typing import Any

from tests.acceptance.serving import HOLDFAST, PATIENCE, clean_environment, run_holdfast


class Operator:
    """Works on the dead letters of one namespace."""

    def __init__(self, bus: str, namespace: str) -> None:
        self._place = ("--bus", bus, "--namespace", namespace)

    async def dlq(self, *arguments: str) -> str:
        """What a command says that succeeds."""
        return await run_holdfast("dlq", *arguments, *self._place)

    async def letters(self, *filters: str) -> list[dict[str, Any]]:
        """The letters that match."""
        said = await self.dlq("list", "--json", "--limit", "1000", *filters)
        return [json.loads(line) for line in said.splitlines()]

    async def reasons(self, *filters: str) -> list[str]:
        return sorted(letter["reason"] for letter in await self.letters(*filters))

    async def counted(self, *arguments: str) -> dict[str, Any]:
        """What a replay or a purge counts."""
        counts: dict[str, Any] = json.loads(await self.dlq(*arguments, "--json"))
        return counts

    async def started(self, *arguments: str) -> asyncio.subprocess.Process:
        """A command that is not waited for."""
        return await asyncio.create_subprocess_exec(
            HOLDFAST,
            "dlq",
            *arguments,
            *self._place,
            env=clean_environment(),
            stdout=asyncio.subprocess.DEVNULL,
        )

    async def until(self, *reasons: str) -> None:
        """Until exactly these are there."""
        async with asyncio.timeout(PATIENCE):
            while await self.reasons() != sorted(reasons):
                pass  # each look takes its time
