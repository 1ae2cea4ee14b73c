"""Wall clocks of agents jump: things end early or late, and nothing else goes wrong."""

import asyncio
import os
import sys
import time
from asyncio.subprocess import PIPE, Process, create_subprocess_exec
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import pytest

from holdfast_protocol.client import AgentClient
from holdfast_protocol.errors import HoldfastError, NotFoundError
from tests.acceptance.stores import DURABLE
from tests.chaos.faults.abilities import NotHereError, not_here
from tests.chaos.faults.clocks import Clock, JumpClock, release, shared_by
from tests.chaos.forms import by_form, is_long
from tests.chaos.proxied import proxied

pytestmark = pytest.mark.amqp

_SEED = 20261123
_TIMEOUT = 10.0
_PAUSE = 0.1


@pytest.mark.parametrize("kind", DURABLE if is_long() else [DURABLE[1]])
async def test_nothing_is_lost_or_mixed_up_by_clocks_that_jump(
    kind: str, amqp_url: str, tmp_path: Path
) -> None:
    """Two processes, each with a clock of its own; short leases and records that expire."""
    random = Random(_SEED)
    clocks = [_clock(tmp_path / f"clock {number}") for number in range(2)]
    settings = [clock.settings() for clock in clocks]
    async with (
        proxied(amqp_url, kind, tmp_path, _SEED, settings, clocks_right_until=0.0) as service,
        AgentClient(amqp_url, "expiring", namespace=service.namespace) as client,
        asyncio.TaskGroup() as group,
    ):
        for process in service.processes:
            release(process.pid)
        expiring = [Expiring(client, number, _SEED) for number in range(4)]
        tasks = [group.create_task(one.run()) for one in expiring]
        while_wrong = by_form((0.5, 1.0), (1.0, 5.0))
        for number in range(by_form(3, 12)):
            clock = clocks[number % 2]
            await service.by(JumpClock(clock, seconds=while_wrong, back=number % 3 < 2), random)
        for clock in clocks:
            await clock.jump_to(0)
        for task in tasks:
            task.cancel()
    assert all(one.saved for one in expiring)


async def test_a_jump_is_seen_when_it_is_said_to_be(tmp_path: Path) -> None:
    clock = _clock(tmp_path / "clock")
    async with _telling_time(clock) as process:
        assert await _is_off(process) == pytest.approx(0, abs=_TIMEOUT)
        for seconds in (3600.0, -60.0, 0.0):
            await clock.jump_to(seconds)
            assert await _is_off(process) == pytest.approx(seconds, abs=_TIMEOUT)


async def test_a_process_that_was_released_has_its_clock_and_leaves_nothing_when_it_is_killed(
    tmp_path: Path,
) -> None:
    clock = _clock(tmp_path / "clock")
    async with _telling_time(clock) as process:
        await _is_off(process)  # it runs
        assert shared_by(process.pid)
        release(process.pid)
        await clock.jump_to(3600.0)
        assert await _is_off(process) == pytest.approx(3600.0, abs=_TIMEOUT)
    assert not shared_by(process.pid)


_TELLS_TIME = """
import sys, time
for _line in sys.stdin:
    print(time.time(), flush=True)
"""


@asynccontextmanager
async def _telling_time(clock: Clock) -> AsyncIterator[Process]:
    """A process with a clock, killed at the end."""
    process = await create_subprocess_exec(
        *(sys.executable, "-c", _TELLS_TIME),
        env=os.environ | clock.settings(),
        stdin=PIPE,
        stdout=PIPE,
    )
    try:
        yield process
    finally:
        process.kill()
        await process.wait()


async def _is_off(process: Process) -> float:
    """By how many seconds its clock is wrong, about."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"?\n")
    async with asyncio.timeout(_TIMEOUT):
        return float(await process.stdout.readline()) - time.time()


def _clock(file: Path) -> Clock:
    try:
        return Clock(file)
    except NotHereError as error:
        not_here(error)


class Expiring:
    """Writes a record that may expire, and reads it: it is as it was written last, or gone."""

    def __init__(self, client: AgentClient, number: int, seed: int) -> None:
        self.saved = 0
        self._storage = client.storage
        self._random = Random(f"{seed} {number}")
        self._asked = 0
        self._record = f"record {number}"
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._name = f"{self._record} from {self._asked}"
        self._version = 0

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            try:
                await self._save()
                await self._read()
            except NotFoundError:
                continue  # it may always have expired, by somebody's clock
            except HoldfastError:
                self._begin_anew()  # what was asked may have happened, or may still
                await asyncio.sleep(_PAUSE)

    async def _save(self) -> None:
        self._asked += 1
        document = {"id": self._name, "number": self._asked}
        seconds = self._random.choice((0.2, 2.0, 600.0, 7200.0))
        record = await self._storage.save(
            document, collection="expiring", ttl_seconds=seconds, timeout=_TIMEOUT
        )
        self._is_later(record.version)
        self.saved = self._asked

    async def _read(self) -> None:
        record = await self._storage.get(self._name, collection="expiring", timeout=_TIMEOUT)
        assert self.saved == record["number"], f"{record} was read after {self.saved} was saved"
        assert record.version == self._version, f"{record} had version {self._version}"

    def _is_later(self, version: int) -> None:
        assert version > self._version, f"version {version} came after {self._version}"
        self._version = version
