"""Agent processes and load with proxies everywhere between, struck by faults and checked."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from math import inf
from pathlib import Path
from random import Random

from tests.acceptance.serving import Serving, serving
from tests.acceptance.stores import temporary_store
from tests.chaos.checks.check import check
from tests.chaos.checks.defects import defects
from tests.chaos.faults.contract import Fault, Strike
from tests.chaos.history import History
from tests.chaos.load.hearing import Ear
from tests.chaos.load.load import COLLECTIONS, Load
from tests.chaos.proxy.amqp import AmqpProxy
from tests.chaos.proxy.tcp import TcpProxy
from tests.services import unique_name

_ANSWERS = 20  # before and after a fault: the service has to come back
_BACK_WITHIN = 30.0  # seconds, for them


@dataclass(frozen=True, slots=True)
class Proxied:
    """A service under load.

    Args:
        agents: what stands between the agents and the broker.
        clients: what stands between the load and the broker.
        store: what stands between the agents and the store; None for a file.
    """

    namespace: str
    processes: Sequence[Serving]
    load: Load
    agents: AmqpProxy
    clients: AmqpProxy
    store: TcpProxy | None
    strikes: list[Strike] = field(default_factory=list)

    async def by(self, fault: Fault, random: Random) -> Strike:
        """Inject one, with answers before and after it."""
        await self.load.until(_ANSWERS, _BACK_WITHIN)
        strike = await fault.strike(random)
        self.strikes.append(strike)
        await self.load.until(_ANSWERS, _BACK_WITHIN)
        for process in self.processes:
            assert not await process.has_ended(), process.log[-3:]
        return strike


@asynccontextmanager
async def proxied(
    bus: str,
    kind: str,
    folder: Path,
    seed: int,
    settings: Sequence[Mapping[str, str]] = ({},),
    *,
    clocks_right_until: float = inf,
) -> AsyncIterator[Proxied]:
    """It runs; at the end everything is answered, and held to its promises.

    Args:
        bus: the broker.
        kind: the backend, as `temporary_store` takes it.
        settings: of each agent process, one after the other.
        clocks_right_until: as a history has it.
    """
    name = unique_name()
    async with AsyncExitStack() as stack:
        agents = await stack.enter_async_context(AmqpProxy(bus, seed=seed))
        clients = await stack.enter_async_context(AmqpProxy(bus, seed=seed + 1))
        url = await stack.enter_async_context(temporary_store(kind, folder))
        store = None
        if kind != "sqlite":
            store = await stack.enter_async_context(TcpProxy(url, seed=seed + 2))
            url = store.proxied_url
        served = await asyncio.gather(
            *(
                stack.enter_async_context(serving(agents.proxied_url, url, name, **its))
                for its in settings
            )
        )
        load = Load(clients.proxied_url, name, seed, workers=8, control=bus)
        # What is published is read directly: a queue with a reader that is gone, which the
        # broker does not know yet, and a new one gives each of them a part. The subscription
        # has to bear that, and everything else.
        ear = Ear(clients.proxied_url, name, [f"{one}-{load.token}" for one in COLLECTIONS])
        async with load, ear.listening():
            yield Proxied(name, served, load, agents, clients, store)
            history = await load.finish()
            history.clocks_right_until = clocks_right_until
            await _hear_all(ear, history)
        violations = [*check(history), *defects(load.refusals)]
        assert not violations, "\n".join(f"{v.promise}: {v.text}" for v in violations)


async def _hear_all(ear: Ear, history: History) -> None:
    for collection, heard in ear.heard.items():
        kept = history.kept[collection]
        if kept.events:
            await ear.until(collection, kept.events[-1]["sequence"], _BACK_WITHIN)
        history.kept[collection] = replace(kept, heard=heard)
