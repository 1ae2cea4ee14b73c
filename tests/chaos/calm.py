"""Single strikes in quiet times: how long until the throughput is what it was."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Final

from tests.chaos.faults.contract import Fault, Strike
from tests.chaos.faults.kills import KillAgent, KillServer
from tests.chaos.load.load import Load
from tests.chaos.options import Options
from tests.chaos.recovery import concerns, full_again
from tests.chaos.scene import Scene

_BEFORE: Final = 8.0  # seconds over which the usual throughput is taken
_AFTER: Final = 20.0  # seconds without another fault


@dataclass(frozen=True, slots=True)
class Calm:
    """A single strike.

    Args:
        usual: answers a second before it.
        seconds: from when it was healed until the throughput was as before; None if it never was.
    """

    kind: str
    backend: str
    usual: float
    seconds: float | None


async def strike_calmly(
    scene: Scene, options: Options, loads: Mapping[str, Load], tell: Callable[[Strike], None]
) -> list[Calm]:
    """One fault after the other, with time before and after each."""
    random, seen = Random(f"{options.seed}/calm"), list[Calm]()
    for _turn in range(options.calm):
        for fault in _faults(scene, options):
            seen += await _single(fault, random, loads, tell)
    return seen


def _faults(scene: Scene, options: Options) -> list[Fault]:
    servers = [server for server in scene.servers if server.name in options.kinds]
    faults: list[Fault] = [KillServer(server) for server in servers]
    if "agent" in options.kinds:
        faults += [KillAgent(agents) for agents in scene.agents.values()]
    return faults


async def _single(
    fault: Fault, random: Random, loads: Mapping[str, Load], tell: Callable[[Strike], None]
) -> list[Calm]:
    await asyncio.sleep(_BEFORE)
    now = time.monotonic()
    usual = {name: load.rates.between(now - _BEFORE, now) for name, load in loads.items()}
    strike = await fault.strike(random)
    tell(strike)
    await asyncio.sleep(_AFTER)
    until = strike.healed_at + _AFTER
    return [
        Calm(
            strike.kind,
            name,
            usual[name],
            full_again(load.rates, usual[name], strike.healed_at, until),
        )
        for name, load in loads.items()
        if concerns(strike, name)
    ]
