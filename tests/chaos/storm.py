"""The storm: faults of several kinds at once, as a seed plans them."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from tests.chaos.faults.contract import Fault, Strike
from tests.chaos.faults.kills import KillAgent, KillConnection, KillServer
from tests.chaos.faults.pools import OF_POSTGRES, OF_REDIS, AnyOf
from tests.chaos.faults.stops import StopAgent, StopServer
from tests.chaos.options import Options
from tests.chaos.scene import Scene
from tests.chaos.servers import Server

_SETTLE: Final = 3.0
"""Seconds before a broker is killed first: a quorum queue that is younger than about one second
may be lost by RabbitMQ 3.10."""
_BROKER_LIFE: Final = (1.0, 7.0)
"""Seconds between two deaths: they decide how long a run takes, and which recoveries can show that
they are slow."""
_LIFE: Final = (2.0, 9.0)


@dataclass(frozen=True, slots=True)
class Lane:
    """Strikes of one kind, one after the other.

    Args:
        pause: seconds before each, between these two.
        settle: seconds before the first, in addition.
    """

    fault: Fault
    strikes: int
    pause: tuple[float, float]
    settle: float = 0.0


async def rage(lanes: Sequence[Lane], seed: int, tell: Callable[[Strike], None]) -> None:
    """Strike until every lane is through. All lanes go on at the same time.

    Each draws from a random sequence of its own: what one takes long for changes no other.
    """
    async with asyncio.TaskGroup() as group:
        for number, lane in enumerate(lanes):
            random = Random(f"{seed}/{number}/{lane.fault.kind}")
            group.create_task(_strike_all(lane, random, tell))


async def _strike_all(lane: Lane, random: Random, tell: Callable[[Strike], None]) -> None:
    await asyncio.sleep(lane.settle)
    for _number in range(lane.strikes):
        await asyncio.sleep(random.uniform(*lane.pause))
        tell(await lane.fault.strike(random))


def lanes_of(scene: Scene, options: Options, number: int) -> list[Lane]:
    """What happens in a round."""
    kills, stops = options.share(options.kills, number), options.share(options.stops, number)
    few = -(-kills // 5)
    spared = options.protected(number)
    mortal = [agent for agent in scene.all_agents if agent.number != spared] or scene.all_agents
    lanes = [Lane(StopAgent(scene.all_agents), stops, _LIFE)]
    if "agent" in options.kinds:
        lanes.append(Lane(KillAgent(mortal), kills, _LIFE))
    for server in scene.servers:
        if server.name in options.kinds:
            is_broker = server is scene.broker
            pause, settle = (_BROKER_LIFE, _SETTLE) if is_broker else (_LIFE, 0.0)
            lanes.append(Lane(KillServer(server), kills, pause, settle))
            lanes.append(Lane(StopServer(server), few, _LIFE, _SETTLE))
            if server is scene.postgres:
                lanes.append(Lane(KillConnection(scene.postgres), few, _LIFE))
            lanes += [Lane(pool, few, _LIFE, _SETTLE) for pool in _pools(scene, server)]
    return [lane for lane in lanes if lane.strikes]


def _pools(scene: Scene, server: Server) -> list[Fault]:
    """A database that lives and has no connection, lock or moment left for the agents."""
    if server is scene.postgres:
        url = scene.postgres.database_url
        return [AnyOf([fault(url, turn=server.turn) for fault in OF_POSTGRES])]
    if server is scene.redis:
        return [AnyOf([fault(server.url, turn=server.turn) for fault in OF_REDIS])]
    return []
