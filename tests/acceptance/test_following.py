"""Who follows the changes misses none, whoever is killed: the follower, or those who publish."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest

from holdfast_protocol import AgentClient
from tests.acceptance import follower
from tests.acceptance.follower import whole_lines
from tests.acceptance.serving import PATIENCE, Serving, clean_environment, serving
from tests.acceptance.stores import DURABLE, temporary_store
from tests.services import unique_name

pytestmark = pytest.mark.amqp

_KILLS = 8


@pytest.fixture(params=DURABLE)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """The URL of an empty store."""
    async with temporary_store(request.param, tmp_path) as url:
        yield url


@dataclass
class Following:
    """The program that follows, in a process of its own."""

    bus: str
    namespace: str
    file: Path
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, follower.__file__, self.bus, self.namespace, str(self.file)]
        self._process = subprocess.Popen(command, env=clean_environment())

    async def kill(self) -> None:
        assert self._process is not None
        process, self._process = self._process, None
        assert process.poll() is None, "it ended by itself"
        process.kill()
        await asyncio.to_thread(process.wait, PATIENCE)

    async def reached(self, sequence: int) -> list[dict[str, Any]]:
        """What it remembers, once that is so much."""
        async with asyncio.timeout(PATIENCE):
            while True:
                lines = whole_lines(self.file)
                if lines and lines[-1]["sequence"] >= sequence:
                    return lines
                await asyncio.sleep(0.02)


class Work:
    """Changes of all kinds, without end."""

    def __init__(self, client: AgentClient, random: Random) -> None:
        self._storage = client.storage
        self._random = random
        self._reached = asyncio.Condition()
        self._enough = False
        self.done = 0

    async def run(self) -> None:
        while not self._enough:
            await asyncio.gather(*(self._change() for _ in range(self._random.randrange(1, 20))))

    async def _change(self) -> None:
        task = await self._storage.save({"n": self.done})
        if self._random.random() < 0.5:
            await self._storage.update(task.id, increment={"n": 1})
        if self._random.random() < 0.3:
            await self._storage.delete(task.id)
        self.done += 1
        async with self._reached:
            self._reached.notify_all()

    async def more(self, count: int) -> None:
        """Until so much more is done."""
        wanted = self.done + count
        async with asyncio.timeout(PATIENCE), self._reached:
            await self._reached.wait_for(lambda: self.done >= wanted)

    def enough(self) -> None:
        """Begin nothing new."""
        self._enough = True


async def test_a_follower_misses_nothing_and_sees_sequences_only_rise(
    amqp_url: str, store: str, tmp_path: Path
) -> None:
    random, name = Random(20261120), unique_name()
    async with AsyncExitStack() as stack:
        services: list[Serving] = [
            await stack.enter_async_context(serving(amqp_url, store, name)) for _ in range(2)
        ]
        client = await stack.enter_async_context(
            AgentClient(amqp_url, sender="worker", namespace=name)
        )
        following = Following(amqp_url, name, tmp_path / "events.jsonl")
        following.start()
        stack.push_async_callback(following.kill)
        work = Work(client, random)
        working = asyncio.create_task(work.run())
        for number in range(_KILLS):
            await work.more(random.randrange(20, 120))
            if number % 2 == 0:
                await following.kill()
                await work.more(random.randrange(0, 50))  # it is away, and misses nothing
                following.start()
            else:
                victim = services[number // 2 % 2]
                await victim.kill()
                await victim.start()
        await work.more(50)
        work.enough()
        await working
        position = (await client.request("storage", "storage_positions")).result
        assert isinstance(position, list)
        (entry,) = position
        assert isinstance(entry, dict)
        last = entry["sequence"]
        assert isinstance(last, int)
        lines = await following.reached(last)
        kept = {record["id"]: record async for record in client.storage.list()}

    assert [line["sequence"] for line in lines] == list(range(1, last + 1))
    assert _folded(lines) == kept, "the events tell the whole state"


def _folded(lines: list[dict[str, Any]]) -> dict[Any, Any]:
    """What the events leave."""
    state: dict[Any, Any] = {}
    for line in lines:
        document = line["document"]
        if line["kind"] == "deleted":
            del state[document["id"]]
        else:
            state[document["id"]] = document
    return state
